import { setFlagsFromString } from 'node:v8';
import { Worker } from 'node:worker_threads';
import { ListenError } from './listen-probe.ts';
import { forgetThread } from '../shared-memory/shared-memory.ts';
import type {
  ConfigurationMessage,
  MessageFromWorker,
  MessageToWorker,
  SettingsMessage,
  WorkerStart,
} from '../snapshot/messages.ts';
import type { HealthReport } from '../upstream/health/shared-health.ts';

/** How a worker took a change of the configuration. `late`: no answer in time. `gone`: it ended meanwhile. */
type ApplyOutcome =
  | { readonly kind: 'applied' | 'late' | 'gone' }
  | { readonly kind: 'failed'; readonly message: string };

/** One worker thread as the main thread sees it. */
export interface WorkerThread {
  /**
   * The ports it listens on. Rejects with ListenError, or with what ended the thread before it was ready. It never
   * rejects unheard: {@link gone} tells the same.
   */
  readonly ready: Promise<readonly number[]>;
  /** Resolves when the thread has ended, with the reason: what it threw, what it was ended for, or its exit code. */
  readonly gone: Promise<Error>;
  isReady(): boolean;
  apply(message: ConfigurationMessage | SettingsMessage, timeoutMs: number): Promise<ApplyOutcome>;
  reopenLogs(): void;
  /** Resolves when the thread has ended, which is at the deadline (and a short grace) at the latest. */
  drain(deadlineMs: number): Promise<void>;
  /** Ends the thread at once, also when it spins in a loop. */
  terminate(reason: string): Promise<void>;
}

/** After its deadline a worker cuts what is left and writes its logs out; this is the time that it gets for that. */
const drainGraceMs = 1000;

/** A longer timer of Node's would fire at once. */
const maxTimerMs = 2 ** 31 - 1;

// How V8 treats the short lives of a request's objects, and the long one of its code (docs/decisions/0010):
// - Under load it comes to believe that some of them live long and allocates them as such. They do not, but once there
//   they keep what they point to alive until a full collection: a tenth of all that was allocated was copied and kept.
// - Room for 8 MiB of new objects is as fast as the usual 16. In the pauses between two loads it would shrink to one, in
//   which requests outlive a collection, and be slow to grow again.
// - In the same pauses V8 would drop the code of the data plane, and compile it again at the expense of the next requests.
// - Bodies live outside of V8's heap: for every 64 MiB of them it would collect everything, nine times a second where requests
//   are large. It now waits until they have grown with all the rest.
const v8Flags = [
  '--no-allocation-site-pretenuring',
  '--max-semi-space-size=8',
  '--min-semi-space-size=8',
  '--no-flush-bytecode',
  '--retain-maps-for-n-gc=1000',
  '--external-memory-accounted-in-global-limit',
  '--external-memory-max-growing-factor=4',
];
for (const flag of v8Flags) setFlagsFromString(flag);

interface WorkerThreadOptions {
  /** It is given up when it does not listen by then. */
  readonly startTimeoutMs: number;
  readonly onHealthReport: (report: HealthReport) => void;
}

/** Starts a thread. Nothing is thrown: a file that cannot be loaded shows in `ready` and `gone`. */
export function startWorkerThread(workerUrl: URL, start: WorkerStart, options: WorkerThreadOptions): WorkerThread {
  const { startTimeoutMs, onHealthReport } = options;
  const worker = new Worker(workerUrl, { name: `weir worker ${start.workerIndex}`, workerData: start });
  // Node takes it away from a worker that has ended.
  const { threadId } = worker;
  const ready = Promise.withResolvers<readonly number[]>();
  const gone = Promise.withResolvers<Error>();
  const drained = Promise.withResolvers<void>();
  const waiting = new Map<number, (outcome: ApplyOutcome) => void>();
  let isReady = false;
  let isGone = false;
  let reason: Error | undefined;

  const send = (message: MessageToWorker): void => worker.postMessage(message);
  const end = async (cause: Error): Promise<void> => {
    reason ??= cause;
    await worker.terminate();
  };
  const startTimer = setTimeout(() => {
    void end(new Error(`not ready within ${startTimeoutMs} ms`));
  }, startTimeoutMs);
  // Who asks for `ready` sees the rejection; who does not, learns the same from `gone`.
  ready.promise.catch(() => {});

  worker.on('message', (message: MessageFromWorker) => {
    switch (message.type) {
      case 'ready':
        isReady = true;
        clearTimeout(startTimer);
        ready.resolve(message.ports);
        break;
      case 'listen-failed':
        void end(new ListenError(message.code, { ip: message.address, port: message.port }));
        break;
      case 'applied':
        waiting.get(message.id)?.({ kind: 'applied' });
        break;
      case 'failed':
        waiting.get(message.id)?.({ kind: 'failed', message: message.message });
        break;
      case 'health':
        onHealthReport(message.report);
        break;
      case 'drained':
        drained.resolve();
        break;
    }
  });
  worker.on('error', (error: unknown) => {
    reason ??= error instanceof Error ? error : new Error(`threw ${String(error)}`);
  });
  worker.on('exit', (code) => {
    clearTimeout(startTimer);
    isReady = false;
    isGone = true;
    forgetThread(start.region, threadId);
    const cause = reason ?? new Error(`ended by itself with code ${code}`);
    ready.reject(cause);
    gone.resolve(cause);
    for (const settle of waiting.values()) settle({ kind: 'gone' });
  });

  return {
    ready: ready.promise,
    gone: gone.promise,
    isReady: () => isReady,
    apply: async (message, timeoutMs) => {
      // A message to a thread that has ended is lost in silence.
      if (isGone) return { kind: 'gone' };
      const outcome = Promise.withResolvers<ApplyOutcome>();
      const timer = setTimeout(() => outcome.resolve({ kind: 'late' }), timeoutMs);
      waiting.set(message.id, outcome.resolve);
      send(message);
      try {
        return await outcome.promise;
      } finally {
        clearTimeout(timer);
        waiting.delete(message.id);
      }
    },
    reopenLogs: () => send({ type: 'reopen-logs' }),
    drain: async (requestedMs) => {
      if (isReady) {
        const deadlineMs = Math.min(requestedMs, maxTimerMs - drainGraceMs);
        send({ type: 'drain', deadlineMs });
        const deadline = Promise.withResolvers<void>();
        const timer = setTimeout(deadline.resolve, deadlineMs + drainGraceMs);
        await Promise.race([drained.promise, gone.promise, deadline.promise]);
        clearTimeout(timer);
      }
      await end(new Error('drained'));
    },
    terminate: (text) => end(new Error(text)),
  };
}

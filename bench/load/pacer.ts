import { Worker } from 'node:worker_threads';

// How long before its time a request is waited for by spinning: more than a thread takes to wake another.
const spinMicros = 200;
// Requests that are due closer together than this are sent together.
const finestStepMicros = 100;

// Sleeps to the point; the event loop's own timers only know whole milliseconds.
const metronome = `
  const { workerData: { beat, stepMicros, firstNanos } } = require('node:worker_threads');
  const nobody = new Int32Array(new SharedArrayBuffer(4));
  let next = Number(firstNanos) / 1e6;
  const now = () => Number(process.hrtime.bigint()) / 1e6;
  for (;;) {
    const wait = next - now();
    if (wait > 0) Atomics.wait(nobody, 0, 0, wait);
    do next += stepMicros / 1000; while (next <= now());
    Atomics.add(beat, 0, 1);
    Atomics.notify(beat, 0);
  }`;

/**
 * Calls `onDue` at a fixed rate with sub-millisecond precision, without keeping the core busy between: a thread that
 * sleeps wakes this one 0.2 ms early, which then spins up to the point. Above 10,000 a second calls come in groups.
 *
 * @param count - Calls in total.
 * @param onDue - Gets the time that was meant, in milliseconds of performance.now(): the call may come later, never
 *   earlier. Nothing that this process is busy with moves the times that are meant.
 * @returns Resolves after the last call.
 */
export async function pace(rate: number, count: number, onDue: (dueMs: number) => void): Promise<void> {
  const intervalMs = 1000 / rate;
  // The thread's start takes some time.
  const firstMs = performance.now() + 100;
  const beat = new Int32Array(new SharedArrayBuffer(4));
  const firstNanos =
    process.hrtime.bigint() + BigInt(Math.round((firstMs - performance.now()) * 1e6 - spinMicros * 1e3));
  const stepMicros = Math.max(intervalMs * 1000, finestStepMicros);
  const thread = new Worker(metronome, { eval: true, workerData: { beat, stepMicros, firstNanos } });
  for (let sent = 0; sent < count;) {
    const dueMs = firstMs + sent * intervalMs;
    const earlyMs = dueMs - performance.now();
    if (earlyMs <= 0) {
      onDue(dueMs);
      sent++;
    } else if (earlyMs * 1000 <= 2 * spinMicros && intervalMs * 1000 > 2 * spinMicros) {
      await new Promise((resolve) => setImmediate(resolve));
    } else {
      const seen = Atomics.load(beat, 0);
      const waiting = Atomics.waitAsync(beat, 0, seen, Math.max(1, earlyMs));
      if (waiting.async) await waiting.value;
    }
  }
  await thread.terminate();
}

import type { RecordedRequest } from '../support/mock-provider.ts';
import type { Dialect } from './dialects.ts';
import {
  drip,
  send,
  startFaultProvider,
  stopAfter,
  type Fault,
  type FaultCall,
  type FaultProvider,
  type Stop,
} from './fault-provider.ts';
import { errorAnswer, errorBodies } from './faults.ts';
import { Random } from './random.ts';
import { wireAnswer, type WireAnswer } from './wire-answer.ts';

/** One request of the soak. Everything about it follows from its id and the seed. */
export interface SoakRequest {
  readonly id: string;
  readonly dialect: Dialect;
  readonly stream: boolean;
}

/** Calls that arrived for one request. */
export interface Tally {
  seen: number;
  /** Of them, those on a kept connection that ended without a byte: the gateway sends such a request once more. */
  stale: number;
}

type Kind =
  | 'good'
  | 'drips'
  | 'stops'
  | 'error'
  | 'garbage'
  | 'empty'
  | 'reports an error'
  | 'forgets the end'
  | 'closes behind it';

const kinds: readonly (readonly [weight: number, kind: Kind])[] = [
  [40, 'good'],
  [1, 'drips'],
  [20, 'stops'],
  [16, 'error'],
  [4, 'garbage'],
  [3, 'empty'],
  [3, 'reports an error'],
  [3, 'forgets the end'],
  [7, 'closes behind it'],
];

const stops: readonly (readonly [weight: number, stop: Stop])[] = [
  [10, 'close'],
  [10, 'reset'],
  [1, 'stall'],
];

/** What a good answer to a request says, in pieces. Each has its id, so that no answer is taken for another's. */
export function piecesFor(id: string): string[] {
  return Array.from({ length: 1 + new Random(id).below(8) }, (_, index) => `<${id}:${index}>`);
}

/** Providers that answer at random, mostly well. */
export class SoakProviders implements AsyncDisposable {
  readonly all: readonly FaultProvider[];
  /** By id of the request. */
  readonly tallies = new Map<string, Tally>();
  /** Told of each request with its model, before it is answered. */
  onCall: (id: string, request: RecordedRequest) => void = () => {};
  readonly #requests: ReadonlyMap<string, SoakRequest>;
  readonly #seed: string;

  private constructor(all: readonly FaultProvider[], requests: ReadonlyMap<string, SoakRequest>, seed: string) {
    this.all = all;
    this.#requests = requests;
    this.#seed = seed;
    for (const provider of all) provider.script = () => (call) => this.#answer(call);
  }

  /** @param requests - By id; those that run. */
  static async start(count: number, requests: ReadonlyMap<string, SoakRequest>, seed: string): Promise<SoakProviders> {
    const all = await Promise.all(Array.from({ length: count }, () => startFaultProvider()));
    return new SoakProviders(all, requests, seed);
  }

  openConnections(): number {
    return this.all.reduce((sum, provider) => sum + provider.openConnections(), 0);
  }

  /** Frees what is not needed to count. */
  forget(): void {
    for (const provider of this.all) provider.forget();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all(this.all.map((provider) => provider[Symbol.asyncDispose]()));
  }

  #answer(call: FaultCall): void {
    const id = /"id=(s\d+)"/.exec(call.request.body.toString())?.[1] ?? '';
    const request = this.#requests.get(id);
    if (request === undefined) return call.reset();
    const tally = this.tallies.get(id) ?? { seen: 0, stale: 0 };
    this.tallies.set(id, tally);
    tally.seen++;
    const wasOpen = call.isOpen;
    this.onCall(id, call.request);
    this.#faultFor(request, tally.seen)(call);
    const isSilent = call.bytesSent === 0 && call.closedBy === 'provider';
    if (call.turn > 1 && (!wasOpen || isSilent)) tally.stale++;
  }

  #faultFor(request: SoakRequest, attempt: number): Fault {
    const random = new Random(`${this.#seed} ${request.id} ${attempt}`);
    const good = goodAnswer(request);
    switch (random.pick(kinds)) {
      case 'good':
        return send(good.bytes);
      case 'drips':
        return drip(good.bytes);
      case 'stops':
        return stopAfter(good.bytes.subarray(0, random.below(good.bytes.length)), random.pick(stops));
      case 'error':
        return send(randomError(request, random).bytes);
      case 'garbage':
        return send('SSH-2.0-OpenSSH_9.9\r\n\r\n');
      case 'empty':
        return send(wireAnswer([], { contentType: request.stream ? 'text/event-stream' : 'application/json' }).bytes);
      case 'reports an error':
        return send(brokenStream(request, [request.dialect.errorEvent]).bytes);
      case 'forgets the end':
        return send(brokenStream(request, []).bytes);
      case 'closes behind it':
        return (call) => {
          call.send(good.bytes);
          // As servers do that have no more patience with an idle connection.
          const closeIfIdle = (): void => void (call.next === null && call.close());
          setTimeout(closeIfIdle, random.below(20));
        };
    }
  }
}

function goodAnswer({ id, dialect, stream }: SoakRequest): WireAnswer {
  const pieces = piecesFor(id);
  if (!stream) return wireAnswer([dialect.plain(pieces.join(''))], { framing: 'length' });
  return wireAnswer(dialect.events(pieces, { body: Buffer.from('{}') } as RecordedRequest), {
    contentType: 'text/event-stream',
  });
}

/** The beginning of a stream, in order, with something else for an end. A plain request gets its answer. */
function brokenStream(request: SoakRequest, ending: readonly string[]): WireAnswer {
  if (!request.stream) return goodAnswer(request);
  const events = request.dialect.events(piecesFor(request.id), { body: Buffer.from('{}') } as RecordedRequest);
  return wireAnswer([...events.slice(0, 2), ...ending], { contentType: 'text/event-stream' });
}

function randomError({ id }: SoakRequest, random: Random): WireAnswer {
  const status = random.pick([400, 404, 429, 500, 502, 503, 529].map((status) => [1, status] as const));
  const { contentType, body } = random.pick(
    errorBodies.map((each) => [each.body.length > 10_000 ? 1 : 10, each] as const),
  );
  return errorAnswer({ status, contentType, body: contentType === 'text/html' || body === '' ? `${body}${id}` : body });
}

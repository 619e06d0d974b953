import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TestContext } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import type { ProbeQuestion, ThreadState } from '../fixtures/soak-probe.ts';
import type { LoggedCall } from '../support/ai-stage.ts';
import { eventually } from '../support/gateway.ts';
import type { RecordedRequest } from '../support/mock-provider.ts';
import { dialects, judge, type Dialect, type Verdict } from './dialects.ts';
import { inLanes, providerAt, startLab, type FaultLab } from './lab.ts';
import { openClosedPort, type BadPlace } from './places.ts';
import { Random } from './random.ts';
import { SoakClient, type Patience } from './soak-client.ts';
import { SoakProviders, type SoakRequest } from './soak-provider.ts';

const seed = process.env['WEIR_SOAK_SEED'] ?? String(Math.floor(Math.random() * 1e9));
/** How long each run takes; 0: as long as its number of requests. */
export const soakMs = Number(process.env['WEIR_SOAK_SECONDS'] ?? 0) * 1000;
/** Clients at a time. */
export const soakLanes = 64;
const workers = 2;
const timeoutMs = 500;

const patiences: readonly (readonly [weight: number, patience: Patience])[] = [
  [88, 'stays'],
  [6, 'leaves while waiting'],
  [6, 'leaves while reading'],
];

/** One request that has ended. */
export interface Done {
  readonly request: SoakRequest;
  /** 0: no answer came. */
  readonly status: number;
  /** The client gave up. */
  readonly left: boolean;
  /** False when the connection was cut before the answer's end. */
  readonly complete: boolean;
  readonly verdict: Verdict;
  /** Of the answer, for messages. */
  readonly excerpt: string;
}

/** A gateway with two workers, three providers that answer at random, and clients. Give it to `await using`. */
export class Soak implements AsyncDisposable {
  readonly lab: FaultLab;
  readonly providers: SoakProviders;
  readonly refusing: BadPlace;
  readonly done: Done[] = [];
  /** Sees the calls of the providers. */
  watch: (request: RecordedRequest) => void = () => {};
  readonly #running: Map<string, SoakRequest>;
  readonly #client = new SoakClient();
  readonly #probe: string;
  readonly #folder: string;
  #urls: ReadonlyMap<Dialect, readonly string[]> = new Map();
  #count = 0;

  private constructor(parts: {
    lab: FaultLab;
    providers: SoakProviders;
    refusing: BadPlace;
    running: Map<string, SoakRequest>;
    folder: string;
    probe: string;
  }) {
    this.lab = parts.lab;
    this.providers = parts.providers;
    this.refusing = parts.refusing;
    this.#running = parts.running;
    this.#folder = parts.folder;
    this.#probe = parts.probe;
    this.providers.onCall = (id, request) => {
      this.watch(request);
      this.#client.providerHas(id);
    };
  }

  static async start(t: TestContext): Promise<Soak> {
    t.diagnostic(`WEIR_SOAK_SEED=${seed}`);
    const folder = await mkdtemp(join(tmpdir(), 'weir-soak-'));
    const probe = join(folder, 'probe.sock');
    const probeModule = new URL('../fixtures/soak-probe.ts', import.meta.url).href;
    const env = {
      WEIR_SOAK_PROBE: probe,
      NODE_OPTIONS: `${process.env['NODE_OPTIONS'] ?? ''} --import=${probeModule}`,
    };
    const lab = await startLab({ workers, env });
    const running = new Map<string, SoakRequest>();
    const providers = await SoakProviders.start(3, running, seed);
    const soak = new Soak({ lab, providers, refusing: await openClosedPort(), running, folder, probe });
    soak.#urls = new Map(
      await Promise.all(dialects.map(async (dialect) => [dialect, await soak.#makeRoutes(dialect)] as const)),
    );
    return soak;
  }

  /** Of the two routes of each dialect. */
  get urls(): ReadonlyMap<Dialect, readonly string[]> {
    return this.#urls;
  }

  /** Sends so many requests, or as many as there is time for. */
  async run(count: number): Promise<void> {
    const end = performance.now() + soakMs;
    const numbers = function* (): Generator<number> {
      for (let number = 0; soakMs > 0 ? performance.now() < end : number < count; number++) yield number;
    };
    await inLanes(numbers(), soakLanes, () => this.#ask());
    this.providers.forget();
  }

  /** Puts a route with three instances, and one whose first instance is not there. @returns Their URLs. */
  async #makeRoutes(dialect: Dialect): Promise<string[]> {
    return [
      await this.lab.route(dialect, this.plugins(dialect, { refuses: false })),
      await this.lab.route(dialect, this.plugins(dialect, { refuses: true })),
    ];
  }

  /** @param model - Of all instances, and in a field of the credential. */
  plugins(dialect: Dialect, { refuses, model = 'm' }: { refuses: boolean; model?: string }): object {
    const endpoints = this.providers.all.map(({ url }) => url);
    const instances = [...(refuses ? [this.refusing.url] : []), ...endpoints].map((url, index) => ({
      ...providerAt(url, dialect),
      name: `i${index}`,
      weight: index + 1,
      priority: refuses && index === 0 ? 1 : 0,
      options: { model },
      auth: { header: { 'X-Model': model } },
    }));
    return {
      'ai-proxy-multi': {
        fallback_strategy: ['http_429', 'http_5xx'],
        timeout: timeoutMs,
        // Its timer would be seen long after its request.
        max_stream_duration_ms: 600_000,
        keepalive_timeout: 1000,
        instances,
      },
    };
  }

  async #ask(): Promise<void> {
    const id = `s${++this.#count}`;
    const random = new Random(`${seed} client ${id}`);
    const dialect = random.pick(dialects.map((each) => [1, each] as const));
    const request: SoakRequest = { id, dialect, stream: random.below(2) === 0 };
    const url = random.pick((this.#urls.get(dialect) ?? []).map((each, index) => [index === 0 ? 4 : 1, each] as const));
    this.#running.set(id, request);
    const { stream } = request;
    const body = {
      model: 'm',
      max_tokens: 9,
      messages: [{ role: 'user', content: `id=${id}` }],
      ...(stream && { stream }),
    };
    const answer = await this.#client.ask(`${url}?${id}`, { id, body, patience: random.pick(patiences) });
    this.#running.delete(id);
    const { status, left, complete, text } = answer;
    // A run of minutes has too many to keep all of them whole.
    const excerpt = Buffer.from(text.slice(0, 1000)).toString();
    this.done.push({ request, status, left, complete, excerpt, verdict: judge(dialect, answer) });
    if (this.#count % 1000 === 0) this.providers.forget();
  }

  /** The lines about requests, by id. @param missing - So many lines may be missing. */
  async lines(missing = 0): Promise<ReadonlyMap<string, LoggedCall>> {
    let lines: string[] = [];
    const isThere = (): boolean => {
      lines = this.lab.stage.gateway.readLog('access.log').split('\n').slice(0, -1);
      return lines.length >= this.done.length - missing;
    };
    await eventually(isThere, undefined, () => {
      const missed = this.done.filter(({ request }) => !lines.some((line) => line.includes(`?${request.id}"`)));
      return `lines about ${JSON.stringify(missed.slice(0, 3))}; ${this.lab.stage.gateway.errorLog().slice(-1000)}`;
    });
    const calls = lines.map((line) => JSON.parse(line) as LoggedCall);
    const byId = new Map(calls.map((logged) => [logged.request_uri.split('?')[1] ?? '', logged]));
    assert.equal(byId.size, calls.length, 'a request has two lines');
    assert.ok(calls.length <= this.done.length, 'lines about nothing');
    return byId;
  }

  /** What the workers hold. */
  async measure(): Promise<ThreadState[]> {
    return JSON.parse(await this.#question({ type: 'measure', workers })) as ThreadState[];
  }

  /** Ends a worker at once. */
  async kill(threadId: number): Promise<void> {
    await this.#question({ type: 'kill', threadId });
  }

  #question(question: ProbeQuestion): Promise<string> {
    return new Promise((resolve, reject) => {
      let text = '';
      const socket = connect(this.#probe).setEncoding('utf8');
      socket.on('data', (piece) => (text += piece.toString()));
      socket.on('end', () => resolve(text));
      socket.on('error', reject);
      socket.write(JSON.stringify(question));
    });
  }

  /** Nobody talks to anybody any more, and the idle connections have had their time. */
  async expectNothingLeft(): Promise<void> {
    this.#client.close();
    await eventually(
      () => this.providers.openConnections() === 0,
      undefined,
      'the end of all connections to the providers',
    );
    let states: ThreadState[] = [];
    for (let tries = 0; tries < 250; tries++) {
      states = await this.measure();
      const isQuiet = ({ resources: { TCPSocketWrap: sockets = 0, Timeout: timers = 0 } }: ThreadState): boolean =>
        sockets + timers === 0;
      if (states.length === workers && states.every(isQuiet)) return;
      await sleep(20);
    }
    assert.fail(`something is left: ${JSON.stringify(states)}`);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#client.close();
    await this.lab[Symbol.asyncDispose]();
    await this.providers[Symbol.asyncDispose]();
    await rm(this.#folder, { recursive: true, force: true });
  }
}

import { randomBytes } from 'node:crypto';
import { WeirError, type ErrorCode } from '../base/errors.ts';
import type { Exchange } from '../http/exchange.ts';
import type { JsonObject } from '../llm/json.ts';
import type { RequestBody } from '../llm/request-body.ts';
import type { Usage } from '../llm/usage.ts';
import type { LlmLogParts } from '../observability/llm-log.ts';
import { noPathParams, type PathParams, type RequestView } from '../router/request-view.ts';
import type { BodyCapture } from './body-capture.ts';
import type { Target } from './target.ts';

/** One try at one upstream, for the log. Times in milliseconds; undefined: it did not come to that. */
export interface AttemptRecord {
  /** Name of the instance. */
  readonly target: string;
  /** `ip:port`, or host:port when no connection was made. */
  address: string;
  /** 0 when no answer came. */
  status: number;
  connectMs: number | undefined;
  headerMs: number | undefined;
  responseMs: number | undefined;
  /** Body bytes received. */
  bytes: number;
}

/** What is known of an LLM call; filled by the target that serves it. */
export interface LlmCall {
  readonly requestType: 'ai_chat' | 'ai_stream';
  /** The client's own `model`, '' when it named none. */
  readonly requestModel: string;
  /** The model that the provider was asked for. */
  readonly model: string;
  readonly toolCount: number;
  readonly endUserId: string;
  timeToFirstTokenMs: number;
  usage: Usage;
  /** The provider's own usage object, merged over the events of a stream; null: none came. */
  rawUsage: JsonObject | null;
  hasToolCalls: boolean;
  responseText: string | null;
}

/** The token limits of a request, as the balancing between instances needs them. */
export interface TokenQuota {
  /** Whether an instance has a token left. Consumes nothing. */
  hasRoom(ctx: RequestContext, instance: string): boolean | Promise<boolean>;
  /** Another instance, which has room, is tried in place of the one that was chosen first: the client is told that one's limit. */
  switchTo(ctx: RequestContext, instance: string): void;
}

/** Facts of the matched route that plugins and logs may ask for. */
export interface RouteFacts {
  readonly id: string;
  readonly name: string;
}

// Random for this worker, counted within it: unique without asking the system for randomness per request. The counter's
// last three digits come from a table, and the text in front of them changes every 4096 requests.
const idRandom = randomBytes(10).toString('hex');
const lastIdDigits: readonly string[] = Array.from({ length: 4096 }, (_, value) => value.toString(16).padStart(3, '0'));
let idCounter = randomBytes(5).readUIntBE(0, 5);
let idPrefix = '';

function nextId(): string {
  idCounter = (idCounter + 1) % 2 ** 48;
  const last = idCounter % 4096;
  if (last === 0 || idPrefix === '') idPrefix = idRandom + ((idCounter - last) / 4096).toString(16).padStart(9, '0');
  return idPrefix + lastIdDigits[last];
}

/** Everything that belongs to one request, from its head to its log line. */
export class RequestContext implements RequestView {
  readonly exchange: Exchange;
  readonly method: string;
  readonly path: string;
  readonly requestUri: string;
  readonly queryString: string;
  readonly host: string;
  readonly scheme = 'http';
  readonly httpVersion: string;
  readonly remoteAddress: string;
  readonly remotePort: number;
  readonly serverAddress: string;
  readonly serverPort: number;
  pathParams: PathParams = noPathParams;

  /** Null until {@link readBody} has resolved. */
  body: Buffer | null = null;
  /** Largest body that the gateway takes for any route, in bytes. */
  readonly maxBodyBytes: number;

  /** The client's JSON, once a plugin has asked for it (`json-body.ts`); what a plugin puts here is what the next one reads. */
  llmBody: RequestBody | null = null;

  route: RouteFacts | null = null;
  /** What a plugin chose; null: nobody did. */
  target: Target | null = null;
  llm: LlmCall | null = null;
  /** Set in the phase `rewrite` where token limits are configured; who chooses an instance asks it. */
  tokenQuota: TokenQuota | null = null;
  /** What loggers add to their entries about an LLM call. Written in the log phase, before theirs; null: nothing was asked for. */
  llmLog: LlmLogParts | null = null;
  /** The beginning of the answer's body, when a logger of the route asks for it. */
  responseCapture: BodyCapture | null = null;
  /** Every attempt, in order. */
  readonly attempts: AttemptRecord[] = [];
  upstreamScheme: string | undefined;
  upstreamHost: string | undefined;
  upstreamUri: string | undefined;
  /** Why the request failed, by the stable code of the table of errors; null: it did not. */
  errorCode: ErrorCode | null = null;

  #replacedBody: Buffer | null = null;
  #json: { readonly value: unknown } | null = null;
  #id = '';

  constructor(
    exchange: Exchange,
    location: { readonly path: string; readonly query: string },
    options: { readonly remoteAddress: string; readonly maxBodyBytes: number },
  ) {
    const { head, connection } = exchange;
    this.exchange = exchange;
    this.method = head.method;
    this.path = location.path;
    this.queryString = location.query;
    this.requestUri = head.target;
    this.host = head.host;
    this.httpVersion = head.minorVersion === 1 ? '1.1' : '1.0';
    this.remoteAddress = options.remoteAddress;
    this.remotePort = connection.remotePort;
    this.serverAddress = connection.localAddress;
    this.serverPort = connection.localPort;
    this.maxBodyBytes = options.maxBodyBytes;
  }

  /** 32 hex digits, unique: nginx's `$request_id`. */
  get id(): string {
    if (this.#id === '') this.#id = nextId();
    return this.#id;
  }

  /** The status for logs: 499, as nginx has it, when the client left before its answer was complete. */
  get loggedStatus(): number {
    return this.exchange.aborted ? 499 : this.exchange.status;
  }

  header(lowerCaseName: string): string | undefined {
    return this.exchange.head.fields.getCombined(lowerCaseName, lowerCaseName === 'cookie' ? '; ' : ', ');
  }

  /**
   * Reads the whole body; a second call gives the same bytes, or what {@link replaceBody} has put there since.
   *
   * @throws WeirError see {@link Exchange.readBody}.
   */
  readBody(maxBytes: number): Buffer | Promise<Buffer> {
    const limit = Math.min(maxBytes, this.maxBodyBytes);
    const replaced = this.#replacedBody;
    if (replaced !== null) {
      return replaced.length <= limit
        ? replaced
        : Promise.reject(new WeirError('BODY_TOO_LARGE', [replaced.length, limit]));
    }
    const body = this.exchange.bodyIfComplete(limit);
    if (body !== null) return (this.body = body);
    return this.exchange.readBody(limit).then((bytes) => (this.body = bytes));
  }

  /** Puts other bytes in place of the client's body, for all who read it from now on. */
  replaceBody(bytes: Buffer): void {
    this.body = bytes;
    this.#replacedBody = bytes;
    this.#json = null;
    this.llmBody = null;
  }

  jsonBody(): unknown {
    if (this.#json !== null) return this.#json.value;
    if (this.body === null) return undefined;
    let value: unknown;
    try {
      value = JSON.parse(this.body.toString());
    } catch {
      value = undefined;
    }
    this.#json = { value };
    return value;
  }
}

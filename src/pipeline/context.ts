import { randomBytes } from 'node:crypto';
import { WeirError, type ErrorCode } from '../base/errors.ts';
import type { Exchange } from '../http/exchange.ts';
import { addedField, withField, withoutField } from '../http/field-list.ts';
import { Fields } from '../http/fields.ts';
import { consumerHeaderNames, hopByHopNames, listedNames } from '../llm/header-rules.ts';
import type { JsonObject } from '../llm/json.ts';
import type { RequestBody } from '../llm/request-body.ts';
import type { Usage } from '../llm/usage.ts';
import type { LlmLogParts } from '../observability/llm-log.ts';
import { withoutArgument } from '../router/query.ts';
import { noPathParams, type PathParams, type RequestView } from '../router/request-view.ts';
import type { BodyCapture } from './body-capture.ts';
import type { Pipeline } from './compile.ts';
import { noConsumers, type Consumer, type ConsumerDirectory } from './consumer.ts';
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

/**
 * What plugins put in place of the client's own on the way to the upstream. An ordinary upstream gets all of it; LLM
 * providers are asked as their protocol wants.
 */
export interface ForwardChanges {
  readonly method?: string;
  /** Path and query, percent-encoded: what stands in the request line. */
  readonly uri?: string;
  /** Value of the header Host. */
  readonly host?: string;
}

/** Facts of the matched route that plugins and logs may ask for. */
export interface RouteFacts {
  readonly id: string;
  readonly name: string;
  /** As configured; at least one uri. */
  readonly uris: readonly string[];
  readonly hosts: readonly string[];
  /** '' when the route has none. */
  readonly serviceId: string;
  /** '' when it has none. */
  readonly serviceName: string;
}

/** Where a client puts its credential for the gateway; null: not there. */
export interface CredentialPlace {
  /** Lower case. */
  readonly header: string | null;
  readonly argument: string | null;
  readonly cookie: string | null;
}

/** A gauge in which a request counts while it is served. */
interface RunningGauge {
  add(amount: number): void;
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

const consumerNames: ReadonlySet<string> = new Set(consumerHeaderNames);
const forwardedNames: ReadonlySet<string> = new Set(['x-forwarded-proto', 'x-forwarded-host', 'x-forwarded-port']);

/**
 * Things that the gateway finds out by itself, for those behind it would believe a client: who the consumer is, and how the
 * gateway was reached, of which a trusted proxy in front knows more.
 *
 * Also with underscores: to CGI, WSGI and PHP both are HTTP_X_CONSUMER_USERNAME.
 */
function isClaim(lowerCaseName: string, isTrustedProxy: boolean): boolean {
  // The third letter spares nearly all names the rest.
  const third = lowerCaseName[2];
  if ((third !== 'c' && third !== 'f') || lowerCaseName[0] !== 'x') return false;
  const name = lowerCaseName.replaceAll('_', '-');
  return consumerNames.has(name) || (!isTrustedProxy && forwardedNames.has(name));
}

/**
 * What a client's header says about the request: without claims, and without what it names in Connection, which is about
 * the connection. It is done before plugins set fields, so that none of those is taken for the client's.
 */
function requestFields(fields: Fields, isTrustedProxy: boolean): Fields {
  const { flat } = fields;
  const listed = listedNames(fields.getCombined('connection'));
  for (let i = 0; i < flat.length; i += 2) {
    const name = flat[i] ?? '';
    if (!isClaim(name, isTrustedProxy) && !isListed(name, listed)) continue;
    const isOwn = (each: string): boolean => !isClaim(each, isTrustedProxy) && !isListed(each, listed);
    return new Fields(flat.filter((_, index) => isOwn(flat[index & ~1] ?? '')));
  }
  return fields;
}

/** A request without Host is none; and what every forwarder leaves out by its name, conditions and logs may still ask for. */
function isListed(name: string, listed: readonly string[]): boolean {
  return listed.length > 0 && listed.includes(name) && name !== 'host' && !hopByHopNames.includes(name);
}

/** Everything that belongs to one request, from its head to its log line. */
export class RequestContext implements RequestView {
  readonly exchange: Exchange;
  readonly method: string;
  readonly path: string;
  requestUri: string;
  queryString: string;
  readonly host: string;
  readonly scheme: 'http' | 'https';
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

  /** The header of the request as it is now: the client's own, with what plugins have changed. Targets send this one. */
  fields: Fields;
  /** Null: the client's method, uri and host. */
  forward: ForwardChanges | null = null;

  route: RouteFacts | null = null;
  /** The plugins that it runs with now; null: none yet. */
  pipeline: Pipeline | null = null;
  /** Of the snapshot that the request began with. */
  consumers: ConsumerDirectory = noConsumers;
  consumer: Consumer | null = null;
  /** Where plugins of the route look for the client's credential, whether there is one or not: never logged from there. */
  credentialPlaces: readonly CredentialPlace[] = [];
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
  /** Called when the first attempt is about to be sent: what the upstream is asked for is known by then. */
  onFirstAttempt: ((ctx: RequestContext) => void) | null = null;
  /** The answer is the upstream's, not one of the gateway itself. */
  isUpstreamAnswer = false;
  /** Goes down by one when the request ends, however it does. */
  runningGauge: RunningGauge | null = null;
  /** The one that takes the metrics of this request, where several plugins would; null: not known yet. */
  meter: object | null = null;
  /** Why the request failed, by the stable code of the table of errors; null: it did not. */
  errorCode: ErrorCode | null = null;

  #replacedBody: Buffer | null = null;
  #json: { readonly value: unknown } | null = null;
  #uniqueId = '';
  #givenId = '';

  constructor(
    exchange: Exchange,
    location: { readonly path: string; readonly query: string },
    options: { readonly remoteAddress: string; readonly isTrustedProxy: boolean; readonly maxBodyBytes: number },
  ) {
    const { head, connection } = exchange;
    this.exchange = exchange;
    this.fields = requestFields(head.fields, options.isTrustedProxy);
    this.method = head.method;
    this.path = location.path;
    this.queryString = location.query;
    this.requestUri = head.target;
    this.host = head.host;
    this.scheme = connection.tls === null ? 'http' : 'https';
    this.httpVersion = head.version;
    this.remoteAddress = options.remoteAddress;
    this.remotePort = connection.remotePort;
    this.serverAddress = connection.localAddress;
    this.serverPort = connection.localPort;
    this.maxBodyBytes = options.maxBodyBytes;
  }

  /** 32 hex digits, unique: nginx's `$request_id`. */
  get uniqueId(): string {
    if (this.#uniqueId === '') this.#uniqueId = nextId();
    return this.#uniqueId;
  }

  /** What logs call the request: {@link uniqueId}, unless the plugin request-id has set another, perhaps the client's own. */
  get id(): string {
    return this.#givenId === '' ? this.uniqueId : this.#givenId;
  }

  set id(id: string) {
    this.#givenId = id;
  }

  /** The status for logs: 499, as nginx has it, when the client left before its answer was complete. */
  get loggedStatus(): number {
    return this.exchange.aborted ? 499 : this.exchange.status;
  }

  header(lowerCaseName: string): string | undefined {
    return this.fields.getCombined(lowerCaseName, lowerCaseName === 'cookie' ? '; ' : ', ');
  }

  /**
   * Puts a header field in place of those of its name, for the plugins that follow and for the upstream.
   *
   * @param value - Latin-1 without line breaks, as {@link Fields} has it.
   */
  setHeader(name: string, value: string): void {
    this.fields = new Fields(withField(this.fields.flat, name.toLowerCase(), value));
  }

  /** Like {@link setHeader}, but those that are there stay. */
  addHeader(name: string, value: string): void {
    this.fields = new Fields(addedField(this.fields.flat, name.toLowerCase(), value));
  }

  removeHeader(name: string): void {
    this.fields = new Fields(withoutField(this.fields.flat, name.toLowerCase()));
  }

  /** Takes an argument out of the query, for all who read it from now on: plugins, logs and the upstream. */
  removeArgument(name: string): void {
    this.queryString = withoutArgument(this.queryString, name);
    const question = this.requestUri.indexOf('?');
    if (question === -1) return;
    const path = this.requestUri.slice(0, question);
    this.requestUri = this.queryString === '' ? path : `${path}?${this.queryString}`;
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

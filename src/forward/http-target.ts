import { WeirError, type ErrorCode } from '../base/errors.ts';
import type { ResponseHead } from '../http/response-head.ts';
import type { RequestContext } from '../pipeline/context.ts';
import { readBodyBytes } from '../pipeline/json-body.ts';
import { refusal, type Reply } from '../pipeline/reply.ts';
import type { AttemptFailure, OutgoingRequest, Reception, Target } from '../pipeline/target.ts';
import type { Picker } from '../upstream/balancer/balancer.ts';
import { passiveResult } from '../upstream/health/passive-outcome.ts';
import { ClientBody } from './client-body.ts';
import type { CompiledUpstream, ForwardNode } from './compile-upstream.ts';
import { asksForWebSocket, requestFieldLines, responseFields, type RequestFraming } from './forwarded-fields.ts';
import { isRepeatable, mayRetry } from './retry-rules.ts';

/** A body of known size up to this is collected: it can be sent again, and on a kept connection. Larger ones stream. */
const maxCollectedBytes = 64 * 1024;
const nothing = Buffer.alloc(0);
const ended = { body: nothing, failure: null };
/** Nobody looks at what passes. */
const passing: Omit<Reception, 'fields'> = {
  gear: 'pass',
  flushIntervalMs: 0,
  isConverted: false,
  limits: { maxBytes: null, maxDurationMs: null },
  onChunk: (bytes) => bytes,
  onEnd: () => ended,
  onBroken: () => {},
  errorTail: () => null,
};

/** What a request carries: bytes that are here, or come. */
type Body = Buffer | ClientBody;

/** A node whose turn it is. */
interface Turn {
  readonly index: number;
  readonly node: ForwardNode;
  readonly startedAt: number;
}

/** A client's request, addressed to one node of an upstream after the other until one has answered. */
export class HttpTarget implements Target {
  #upstream: CompiledUpstream;
  #picker: Picker | null = null;
  #tried = new Set<number>();
  #turn: Turn | null = null;
  #retries = 0;
  #firstStartedAt = 0;
  #body: Body | null = null;
  /** The protocol that the request asks for comes from the client on this way. */
  #tunnel: ClientBody | null = null;

  constructor(upstream: CompiledUpstream) {
    this.#upstream = upstream;
  }

  /** Of the node whose turn it is. */
  get name(): string {
    return this.#turn?.node.name ?? '';
  }

  /** Of the same. */
  get address(): string {
    return this.#turn?.node.address ?? '';
  }

  prepare(ctx: RequestContext): OutgoingRequest | WeirError | Promise<OutgoingRequest | WeirError> {
    const body = (this.#body ??= bodyAtHand(ctx));
    if (body !== null) return this.#address(ctx, body);
    return readWhole(ctx).then((late) => this.#address(ctx, (this.#body = late)));
  }

  receive(_ctx: RequestContext, head: ResponseHead): Reception {
    if (head.status === 101 && head.fields.getCombined('upgrade')?.toLowerCase() !== 'websocket') {
      throw new WeirError('UPSTREAM_INVALID_RESPONSE', ['it changed to a protocol that nobody asked for']);
    }
    return { ...passing, fields: responseFields(head) };
  }

  answerFailure(ctx: RequestContext, failure: AttemptFailure): Reply | null {
    const { error, status, address } = failure;
    if (error === null) throw new Error('a failure of which nothing is known');
    this.#endTurn(error.code, { status, address });
    if (this.#mayTryAgain(ctx, failure)) {
      this.#retries++;
      return null;
    }
    // Where in the network behind the gateway it happened is for the log, not for everybody.
    return refusal(ctx, error.blame === 'upstream' ? new WeirError(error.code) : error);
  }

  finish(ctx: RequestContext): void {
    this.#endTurn(ctx.errorCode, ctx.attempts.at(-1) ?? { status: 0, address: '' });
  }

  #address(ctx: RequestContext, body: Body): OutgoingRequest | WeirError {
    const turn = this.#chooseNode(ctx);
    if (turn === null) return new WeirError('NO_UPSTREAM_NODE');
    this.#turn = turn;
    const { node } = turn;
    const { scheme, allowsWebSocket } = this.#upstream;
    const upgrades = allowsWebSocket && body === nothing && asksForWebSocket(ctx);
    if (upgrades) this.#tunnel ??= new ClientBody(ctx.exchange, Infinity, 'plain');
    const method = ctx.forward?.method ?? ctx.method;
    const uri = ctx.forward?.uri ?? ctx.requestUri;
    const host = ctx.forward?.host ?? node.hostHeader ?? clientHost(ctx, node);
    const lines = requestFieldLines(ctx, { host, framing: framingOf(ctx, method, body), upgrades });
    const source = upgrades ? this.#tunnel : body instanceof ClientBody ? body : null;
    return {
      pool: node.poolFor(host),
      use: node.use,
      wire: {
        method,
        head: `${method} ${uri} HTTP/1.1\r\n${lines}`,
        body: body instanceof ClientBody ? nothing : body,
        ...(source !== null && { source }),
        upgrades,
        isRepeatable: isRepeatable(method),
      },
      scheme,
      host,
      uri,
      address: node.address,
    };
  }

  #chooseNode(ctx: RequestContext): Turn | null {
    const { nodes, balancer } = this.#upstream;
    const picker = (this.#picker ??= balancer.begin(ctx));
    const index = picker.next(this.#unusable());
    const node = nodes[index];
    if (node === undefined) return null;
    const startedAt = performance.now();
    if (this.#retries === 0) this.#firstStartedAt = startedAt;
    // The only one there is may be tried again.
    if (nodes.length > 1) this.#tried.add(index);
    return { index, node, startedAt };
  }

  /** Nodes that were tried, and unhealthy ones as long as another one is left. */
  #unusable(): ReadonlySet<number> {
    const { nodes } = this.#upstream;
    let unhealthy: number[] | null = null;
    for (const [index, { health }] of nodes.entries()) if (!health.healthy) (unhealthy ??= []).push(index);
    if (unhealthy === null) return this.#tried;
    const unusable = new Set([...this.#tried, ...unhealthy]);
    return unusable.size < nodes.length ? unusable : this.#tried;
  }

  #mayTryAgain(ctx: RequestContext, { error, status }: AttemptFailure): boolean {
    const { nodes, maxRetries, retryWithinMs } = this.#upstream;
    const isGone = this.#body instanceof ClientBody && this.#body.isStarted;
    return (
      error !== null &&
      !isGone &&
      !ctx.exchange.aborted &&
      mayRetry(error.code, status, ctx.forward?.method ?? ctx.method) &&
      this.#retries < maxRetries &&
      (nodes.length === 1 || this.#tried.size < nodes.length) &&
      performance.now() - this.#firstStartedAt < retryWithinMs
    );
  }

  /** Tells the balancer and the health of the node how the attempt went. */
  #endTurn(code: ErrorCode | null, { status, address }: { readonly status: number; readonly address: string }): void {
    const turn = this.#turn;
    if (turn === null) return;
    this.#turn = null;
    const { index, node, startedAt } = turn;
    const result = passiveResult(code, status);
    if (result !== null) node.health.report({ address, result });
    const elapsedMs = performance.now() - startedAt;
    // A node that refuses connections is fast, but nobody is to take it for a good one.
    const hasFailed = typeof result === 'string';
    this.#picker?.release?.(index, hasFailed ? Math.max(elapsedMs, node.use.timeoutMs) : elapsedMs);
  }
}

/** Null: it is small, and almost here. */
function bodyAtHand(ctx: RequestContext): Body | null {
  const { exchange, llmBody } = ctx;
  if (llmBody !== null && llmBody.bytes === null) return null;
  if (ctx.body !== null) return ctx.body.length === 0 ? nothing : ctx.body;
  const complete = exchange.bodyIfComplete(ctx.maxBodyBytes);
  if (complete !== null) return complete.length === 0 ? nothing : complete;
  const expected = exchange.expectedBodyBytes;
  if (expected !== undefined && expected <= maxCollectedBytes) return null;
  return new ClientBody(exchange, ctx.maxBodyBytes, expected === undefined ? 'chunked' : 'plain');
}

function readWhole(ctx: RequestContext): Promise<Buffer> {
  return readBodyBytes(ctx, ctx.maxBodyBytes);
}

function framingOf({ exchange }: RequestContext, method: string, body: Body): RequestFraming {
  if (body instanceof ClientBody) return body.isChunked ? 'chunked' : (exchange.expectedBodyBytes ?? 'chunked');
  if (body.length > 0) return body.length;
  // Who sends these without a body says so (RFC 9110, section 8.6).
  const expectsBody = method === 'POST' || method === 'PUT' || method === 'PATCH';
  return expectsBody || exchange.head.fields.has('content-length') ? 0 : 'none';
}

/** An HTTP/1.0 client need not name a host. */
function clientHost(ctx: RequestContext, node: ForwardNode): string {
  const host = ctx.fields.get('host') ?? '';
  return host === '' ? node.ownHost : host;
}

import { WeirError } from '../base/errors.ts';
import type { Log } from '../base/log.ts';
import type { RepeatedLog } from '../base/repeated-log.ts';
import type { Exchange } from '../http/exchange.ts';
import type { ExchangeHandler } from '../http/server-connection.ts';
import { BodyCapture } from '../pipeline/body-capture.ts';
import { type AttemptRecord, RequestContext } from '../pipeline/context.ts';
import type { Step } from '../pipeline/define-plugin.ts';
import { refusal, type Reply } from '../pipeline/reply.ts';
import { runSteps } from '../pipeline/run.ts';
import type { AttemptFailure, Target } from '../pipeline/target.ts';
import { normalizePath } from '../router/normalize-path.ts';
import type { CompiledRoute, Snapshot } from '../snapshot/snapshot.ts';
import { Attempt, type AttemptParts } from './attempt.ts';

/** What the data plane of one worker serves with. */
export interface Gateway {
  /** The configuration of this moment; a request keeps the one that it began with. */
  readonly snapshot: () => Snapshot;
  /** Largest request body in bytes, Infinity for no limit: nginx's client_max_body_size. */
  readonly maxBodyBytes: number;
  /** How much of a body is read for conditions on `post_arg.*`, in bytes. */
  readonly maxPostArgsBytes: number;
  /** The client's address, which a trusted proxy in front may tell. */
  readonly clientAddress: (exchange: Exchange) => string;
  readonly writeAccessLog: (ctx: RequestContext) => void;
  readonly log: Log;
  /** For attempts that fail: with a dead upstream every request has one. */
  readonly failureLog: RepeatedLog;
}

/** The data plane: every request that a listener takes goes through here. */
export function createHandler(gateway: Gateway): ExchangeHandler {
  return {
    onRequest: (exchange) => void handle(exchange, gateway),
    onRefused: (exchange, error) => refuse(exchange, error, gateway),
  };
}

/** One request's way, from its head to its log line. Never rejects. */
async function handle(exchange: Exchange, gateway: Gateway): Promise<void> {
  const location = normalizePath(exchange.head.target);
  if (location === null) return refuse(exchange, new WeirError('BAD_REQUEST', ['invalid request target']), gateway);

  const ctx = new RequestContext(exchange, location, {
    remoteAddress: gateway.clientAddress(exchange),
    maxBodyBytes: gateway.maxBodyBytes,
  });
  const { router } = gateway.snapshot();
  let route: CompiledRoute | null = null;
  try {
    checkDeclaredSize(ctx);
    if (router.needsBody(ctx)) await ctx.readBody(gateway.maxPostArgsBytes);
    route = router.match(ctx);
    send(ctx, route === null ? refusal(ctx, new WeirError('ROUTE_NOT_FOUND')) : await serve(ctx, route, gateway));
  } catch (error) {
    send(ctx, replyToFault(ctx, error, gateway.log));
  }
  if (exchange.aborted) ctx.errorCode = 'CLIENT_CLOSED_REQUEST';
  logRequest(ctx, route, gateway);
}

type Served = Reply | undefined | Promise<Reply | undefined>;

/**
 * rewrite -> access -> target. A Reply comes from whoever stopped the request; undefined: the target has answered. Not
 * `async`: what is here already is not waited for, because each wait is a promise and a turn of the queue.
 */
function serve(ctx: RequestContext, route: CompiledRoute, gateway: Gateway): Served {
  const { pipeline } = route;
  ctx.route = route;
  if (pipeline.responseCaptureBytes > 0) {
    ctx.responseCapture = new BodyCapture(pipeline.responseCaptureBytes);
    ctx.exchange.onBodySent = ctx.responseCapture.add;
  }
  const body = pipeline.needsBody && ctx.body === null ? ctx.readBody(gateway.maxPostArgsBytes) : null;
  if (body instanceof Promise) return body.then(() => runPipeline(ctx, pipeline.steps, gateway));
  return runPipeline(ctx, pipeline.steps, gateway);
}

function runPipeline(ctx: RequestContext, steps: readonly Step[], gateway: Gateway): Served {
  const early = runSteps(steps, ctx);
  if (early instanceof Promise) return early.then((reply) => reply ?? callTarget(ctx, gateway));
  return early ?? callTarget(ctx, gateway);
}

/** Makes attempts until one has answered the client (undefined), or the target knows no other. */
async function callTarget(ctx: RequestContext, { log, failureLog }: Gateway): Promise<Reply | undefined> {
  const { target } = ctx;
  if (target === null) throw new WeirError('ROUTE_WITHOUT_TARGET');
  for (;;) {
    const prepared = target.prepare(ctx);
    const outgoing = prepared instanceof Promise ? await prepared : prepared;
    const unsentRecord = outgoing instanceof WeirError ? recordUnsent(target) : null;
    const failure =
      outgoing instanceof WeirError ? unsent(outgoing) : await startAttempt(ctx, { target, outgoing, log, failureLog });
    if (failure === null || ctx.exchange.aborted) return undefined;
    const answered = target.answerFailure(ctx, failure);
    const reply = answered instanceof Promise ? await answered : answered;
    // Of several attempts all are listed: what follows this one must not look like the first choice.
    if (unsentRecord !== null && (reply === null || ctx.attempts.length > 0)) ctx.attempts.push(unsentRecord);
    if (reply === null) continue;
    ctx.errorCode ??= failure.error?.code ?? null;
    return reply;
  }
}

function startAttempt(ctx: RequestContext, parts: AttemptParts): Promise<AttemptFailure | null> {
  const { outgoing } = parts;
  ctx.upstreamScheme = outgoing.scheme;
  ctx.upstreamHost = outgoing.host;
  ctx.upstreamUri = outgoing.uri;
  const attempt = new Attempt(ctx, parts);
  ctx.attempts.push(attempt.record);
  return attempt.run();
}

/** The request could not even be built. */
function unsent(error: WeirError): AttemptFailure {
  return { error, answer: null, status: 0, address: '', elapsedMs: 0 };
}

/** Of a target as it is now: afterwards it may stand for its next instance. */
function recordUnsent({ name, address }: Target): AttemptRecord {
  return {
    target: name,
    address,
    status: 0,
    connectMs: undefined,
    headerMs: undefined,
    responseMs: undefined,
    bytes: 0,
  };
}

function checkDeclaredSize(ctx: RequestContext): void {
  const size = ctx.exchange.expectedBodyBytes ?? 0;
  if (size > ctx.maxBodyBytes) throw new WeirError('BODY_TOO_LARGE', [size, ctx.maxBodyBytes]);
}

function replyToFault(ctx: RequestContext, error: unknown, log: Log): Reply {
  const known = error instanceof WeirError ? error : new WeirError('INTERNAL', [], { cause: error });
  if (known !== error)
    log.error('a request failed inside the gateway', { request_id: ctx.id, route_id: ctx.route?.id, error });
  return refusal(ctx, known);
}

function send(ctx: RequestContext, reply: Reply | undefined): void {
  if (reply !== undefined) ctx.exchange.respond(reply.status, reply.fields, reply.body);
}

function logRequest(ctx: RequestContext, route: CompiledRoute | null, gateway: Gateway): void {
  for (const step of route?.pipeline.log ?? []) runLogStep(step, ctx, gateway.log);
  runLogStep(gateway.writeAccessLog, ctx, gateway.log);
}

/** Whatever goes wrong in one log, the others get their line. */
function runLogStep(step: (ctx: RequestContext) => void, ctx: RequestContext, log: Log): void {
  try {
    step(ctx);
  } catch (error) {
    log.error('a request could not be logged', { request_id: ctx.id, error });
  }
}

/** Bytes that are no request, or a target that means nothing: answered, logged, closed. */
function refuse(exchange: Exchange, error: WeirError, gateway: Gateway): void {
  const ctx = new RequestContext(
    exchange,
    { path: '-', query: '' },
    {
      remoteAddress: gateway.clientAddress(exchange),
      maxBodyBytes: 0,
    },
  );
  send(ctx, refusal(ctx, error));
  logRequest(ctx, null, gateway);
}

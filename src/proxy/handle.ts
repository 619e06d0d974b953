import { WeirError } from '../base/errors.ts';
import type { Log } from '../base/log.ts';
import type { RepeatedLog } from '../base/repeated-log.ts';
import type { Exchange } from '../http/exchange.ts';
import type { ExchangeHandler } from '../http/server-connection.ts';
import { BodyCapture } from '../pipeline/body-capture.ts';
import type { Pipeline } from '../pipeline/compile.ts';
import { type AttemptRecord, RequestContext } from '../pipeline/context.ts';
import { refusal, type Reply } from '../pipeline/reply.ts';
import { answerFilter, runSteps } from '../pipeline/run.ts';
import type { AttemptFailure, Target } from '../pipeline/target.ts';
import { normalizePath } from '../router/normalize-path.ts';
import type { CompiledRoute } from '../snapshot/route-compiler.ts';
import type { Snapshot } from '../snapshot/snapshot.ts';
import { Attempt, type AttemptParts } from './attempt.ts';
import type { Specimens } from './specimens.ts';

/** Counts requests, whatever their routes. */
interface RequestCounter {
  requestBegan(): void;
  requestEnded(): void;
}

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
  /** Whether that proxy may also tell how it was reached. */
  readonly isTrustedProxy: (exchange: Exchange) => boolean;
  readonly writeAccessLog: (ctx: RequestContext) => void;
  readonly traffic: RequestCounter;
  readonly log: Log;
  /** For attempts that fail: with a dead upstream every request has one. */
  readonly failureLog: RepeatedLog;
  readonly specimens: Specimens;
}

/** The data plane: every request that a listener takes goes through here. */
export function createHandler(gateway: Gateway): ExchangeHandler {
  return {
    onRequest(exchange) {
      gateway.traffic.requestBegan();
      void handle(exchange, gateway);
    },
    onRefused(exchange, error) {
      gateway.traffic.requestBegan();
      refuse(exchange, error, gateway);
    },
  };
}

/** One request's way, from its head to its log line. Never rejects. */
async function handle(exchange: Exchange, gateway: Gateway): Promise<void> {
  const location = normalizePath(exchange.head.target);
  if (location === null) return refuse(exchange, new WeirError('BAD_REQUEST', ['invalid request target']), gateway);

  const ctx = new RequestContext(exchange, location, {
    remoteAddress: gateway.clientAddress(exchange),
    isTrustedProxy: gateway.isTrustedProxy(exchange),
    maxBodyBytes: gateway.maxBodyBytes,
  });
  const snapshot = gateway.snapshot();
  ctx.consumers = snapshot.consumers;
  try {
    const { tls } = exchange.connection;
    const refused = tls === null ? null : snapshot.certificates.checkClient(tls, ctx);
    if (refused !== null) throw refused;
    checkDeclaredSize(ctx);
    if (snapshot.router.needsBody(ctx)) await ctx.readBody(gateway.maxPostArgsBytes);
    const route = snapshot.router.match(ctx);
    send(
      ctx,
      await (route === null ? serveUnmatched(ctx, snapshot, gateway) : serve(ctx, route, { snapshot, gateway })),
    );
  } catch (error) {
    send(ctx, replyToFault(ctx, error, gateway.log));
  }
  if (exchange.aborted) ctx.errorCode = 'CLIENT_CLOSED_REQUEST';
  finishTarget(ctx, gateway.log);
  logRequest(ctx, gateway);
}

/** No route: the global rules run, and whatever they choose, there is nothing to find. */
async function serveUnmatched(ctx: RequestContext, snapshot: Snapshot, gateway: Gateway): Promise<Reply> {
  if (snapshot.unmatched !== null) {
    await enter(ctx, snapshot.unmatched, gateway);
    const early = await runSteps(snapshot.unmatched.opening, ctx);
    if (early !== undefined) return early;
  }
  return refusal(ctx, new WeirError('ROUTE_NOT_FOUND'));
}

interface Serving {
  readonly snapshot: Snapshot;
  readonly gateway: Gateway;
}

type Served = Reply | undefined | Promise<Reply | undefined>;

/**
 * rewrite -> access -> target. A Reply comes from whoever stopped the request; undefined: the target has answered. Not
 * `async`: what is here already is not waited for, because each wait is a promise and a turn of the queue.
 */
function serve(ctx: RequestContext, route: CompiledRoute, serving: Serving): Served {
  ctx.route = route;
  const entered = enter(ctx, route.pipeline, serving.gateway);
  return entered === undefined ? open(ctx, route, serving) : entered.then(() => open(ctx, route, serving));
}

/** The steps that may find a consumer. */
function open(ctx: RequestContext, route: CompiledRoute, serving: Serving): Served {
  const opened = runSteps(route.pipeline.opening, ctx);
  if (opened instanceof Promise) return opened.then((refused) => refused ?? proceed(ctx, route, serving));
  return opened ?? proceed(ctx, route, serving);
}

/** The rest, with what a consumer adds to it. */
function proceed(ctx: RequestContext, route: CompiledRoute, { snapshot, gateway }: Serving): Served {
  if (ctx.consumer === null) return finish(ctx, route.pipeline, gateway);
  const pipeline = snapshot.pipelineFor(route, ctx.consumer);
  const changed = enter(ctx, pipeline, gateway);
  return changed === undefined ? finish(ctx, pipeline, gateway) : changed.then(() => finish(ctx, pipeline, gateway));
}

function finish(ctx: RequestContext, pipeline: Pipeline, gateway: Gateway): Served {
  const early = runSteps(pipeline.steps, ctx);
  if (early instanceof Promise) return early.then((reply) => reply ?? callTarget(ctx, gateway));
  return early ?? callTarget(ctx, gateway);
}

/** From here on the request belongs to this pipeline, and so does its answer. @returns What to wait for, if anything. */
function enter(ctx: RequestContext, pipeline: Pipeline, gateway: Gateway): Promise<unknown> | undefined {
  if (ctx.pipeline === pipeline) return undefined;
  // That of a consumer has no others, and would forget the one that a plugin has told of while it ran.
  if (ctx.pipeline === null) ctx.credentialPlaces = pipeline.credentialPlaces;
  ctx.pipeline = pipeline;
  if (pipeline.responseCaptureBytes > 0) {
    ctx.responseCapture = new BodyCapture(pipeline.responseCaptureBytes);
    ctx.exchange.onBodySent = ctx.responseCapture.add;
  }
  const filters = pipeline.headerFilters;
  if (filters.length > 0) ctx.exchange.filter = answerFilter(filters, ctx, gateway.log);
  else if (ctx.exchange.filter !== null) ctx.exchange.filter = null;
  const body = pipeline.needsBody && ctx.body === null ? ctx.readBody(gateway.maxPostArgsBytes) : null;
  return body instanceof Promise ? body : undefined;
}

/** Makes attempts until one has answered the client (undefined), or the target knows no other. */
async function callTarget(ctx: RequestContext, { log, failureLog, specimens }: Gateway): Promise<Reply | undefined> {
  const { target } = ctx;
  if (target === null) throw new WeirError('ROUTE_WITHOUT_TARGET');
  for (;;) {
    const prepared = target.prepare(ctx);
    const outgoing = prepared instanceof Promise ? await prepared : prepared;
    const unsentRecord = outgoing instanceof WeirError ? recordUnsent(target) : null;
    const failure =
      outgoing instanceof WeirError
        ? unsent(outgoing)
        : await startAttempt(ctx, { target, outgoing, log, failureLog, specimens });
    if (failure === null) ctx.isUpstreamAnswer = true;
    if (failure === null || ctx.exchange.aborted) return undefined;
    const answered = target.answerFailure(ctx, failure);
    const reply = answered instanceof Promise ? await answered : answered;
    // Of several attempts all are listed: what follows this one must not look like the first choice.
    if (unsentRecord !== null && (reply === null || ctx.attempts.length > 0)) ctx.attempts.push(unsentRecord);
    if (reply === null) continue;
    ctx.errorCode ??= failure.error?.code ?? null;
    ctx.isUpstreamAnswer = reply === failure.answer;
    return reply;
  }
}

function startAttempt(ctx: RequestContext, parts: AttemptParts): Promise<AttemptFailure | null> {
  const { outgoing } = parts;
  ctx.upstreamScheme = outgoing.scheme;
  ctx.upstreamHost = outgoing.host;
  ctx.upstreamUri = outgoing.uri;
  if (ctx.onFirstAttempt !== null) tellFirstAttempt(ctx, ctx.onFirstAttempt, parts.log);
  const attempt = new Attempt(ctx, parts);
  ctx.attempts.push(attempt.record);
  return attempt.run();
}

function tellFirstAttempt(ctx: RequestContext, onFirstAttempt: (ctx: RequestContext) => void, log: Log): void {
  ctx.onFirstAttempt = null;
  runLogStep(onFirstAttempt, ctx, log);
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

function finishTarget(ctx: RequestContext, log: Log): void {
  try {
    ctx.target?.finish?.(ctx);
  } catch (error) {
    log.error('the target of a request failed at its end', { request_id: ctx.id, error });
  }
}

function logRequest(ctx: RequestContext, gateway: Gateway): void {
  gateway.traffic.requestEnded();
  ctx.runningGauge?.add(-1);
  for (const step of ctx.pipeline?.log ?? []) runLogStep(step, ctx, gateway.log);
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
      isTrustedProxy: gateway.isTrustedProxy(exchange),
      maxBodyBytes: 0,
    },
  );
  send(ctx, refusal(ctx, error));
  logRequest(ctx, gateway);
}

import { WeirError } from '../../base/errors.ts';
import type { ResponseHead } from '../../http/response-head.ts';
import { upstreamTarget } from '../../llm/endpoint.ts';
import { observeBody, StreamObserver, type AnswerFacts } from '../../llm/framing/tap.ts';
import { shapeBody } from '../../llm/request-body.ts';
import { requestHeaderLines } from '../../llm/request-headers.ts';
import { responseFields } from '../../llm/response-headers.ts';
import type { LlmTarget } from '../../llm/target.ts';
import { noUsage } from '../../llm/usage.ts';
import type { LlmCall, RequestContext } from '../../pipeline/context.ts';
import { refusal, type Reply } from '../../pipeline/reply.ts';
import type { OutgoingRequest, Reception, Target } from '../../pipeline/target.ts';
import type { PoolUse } from '../../upstream/connection.ts';
import type { Pool } from '../../upstream/pool.ts';
import type { LlmRequest } from './llm-request.ts';
import { loggedUri } from './logged-uri.ts';

/** A provider of one route with the parts of this worker that calls to it use. Made when configuration changes. */
export interface LlmInstance {
  readonly target: LlmTarget;
  readonly pool: Pool;
  readonly use: PoolUse;
  /** `$upstream_uri` by protocol, for those with a fixed path. */
  readonly loggedTargets: Readonly<Record<string, string>>;
  /** Keep the text of answers, for payload logs or an access log that prints it. */
  readonly capturesText: boolean;
}

const noNames: readonly string[] = [];

/** One client's LLM call, addressed to one provider. */
export class LlmAttemptTarget implements Target {
  readonly name: string;
  #instance: LlmInstance;
  #request: LlmRequest;
  #sentAt = 0;

  constructor(instance: LlmInstance, request: LlmRequest) {
    this.name = instance.target.instanceName;
    this.#instance = instance;
    this.#request = request;
  }

  /** What the client asked, for payload logs. */
  get requestMessages(): unknown {
    return this.#request.protocol.requestMessages(this.#request.body.json);
  }

  prepare(ctx: RequestContext): OutgoingRequest | Reply {
    const { target, pool, use } = this.#instance;
    const { protocol, body } = this.#request;
    const shaped = shapeBody(target.bodyRules, protocol, body);
    if (shaped instanceof WeirError) return refusal(ctx, shaped);
    const uri = upstreamTarget(target.endpoint, protocol, ctx.requestUri);
    if (uri === null) return refusal(ctx, this.#unsupported());

    ctx.llm = {
      requestType: shaped.stream ? 'ai_stream' : 'ai_chat',
      requestModel: shaped.requestModel,
      model: shaped.model,
      toolCount: shaped.toolCount,
      endUserId: shaped.endUserId,
      timeToFirstTokenMs: 0,
      usage: noUsage,
      hasToolCalls: false,
      responseText: null,
    };
    const method = protocol.keepsRequestLine ? ctx.method : 'POST';
    const fields = ctx.exchange.head.fields;
    const lines = requestHeaderLines(target.requestHeaders, fields.flat, listedNames(fields.getCombined('connection')));
    const head = `${method} ${uri} HTTP/1.1\r\n${lines}content-length: ${shaped.bytes.length}\r\n\r\n`;
    const { scheme, hostHeader } = target.endpoint;
    this.#sentAt = performance.now();
    const logged = this.#instance.loggedTargets[protocol.name] ?? loggedUri(uri, target.endpoint.lockedArguments);
    return { pool, use, wire: { method, head, body: shaped.bytes }, scheme, host: hostHeader, uri: logged };
  }

  receive(ctx: RequestContext, head: ResponseHead): Reception {
    const { protocol } = this.#request;
    const { target } = this.#instance;
    const fields = responseFields(head.fields.flat, listedNames(head.fields.getCombined('connection')));
    const gear = isEventStream(head) ? 'stream' : protocol.keepsRequestLine ? 'pass' : 'whole';
    const common = { gear, fields, flushIntervalMs: gear === 'stream' ? target.flushIntervalMs : 0 } as const;
    return gear === 'stream' ? this.#receiveStream(ctx, common) : this.#receiveWhole(ctx, common);
  }

  errorReply(_ctx: RequestContext, error: WeirError): Reply {
    const { contentType, body } = this.#request.protocol.renderError(error);
    return { status: error.status, fields: ['Content-Type', contentType], body };
  }

  #receiveStream(ctx: RequestContext, common: Pick<Reception, 'gear' | 'fields' | 'flushIntervalMs'>): Reception {
    const { protocol } = this.#request;
    const observer = new StreamObserver(protocol, { captureText: this.#instance.capturesText });
    let started = false;
    let betweenEvents = true;
    return {
      ...common,
      onChunk: (bytes) => {
        if (!started && ctx.llm !== null) ctx.llm.timeToFirstTokenMs = this.#elapsedMs();
        started = true;
        betweenEvents = endsEvent(bytes);
        observer.chunk(bytes);
      },
      onComplete: () => {
        observer.end();
        record(ctx.llm, observer);
      },
      errorTail: (error) => {
        const event = protocol.renderErrorEvent(error);
        // An event that was cut in the middle is closed first, or the client would read the error as a part of it.
        return betweenEvents ? event : Buffer.concat([Buffer.from('\n\n'), event]);
      },
    };
  }

  #receiveWhole(ctx: RequestContext, common: Pick<Reception, 'gear' | 'fields' | 'flushIntervalMs'>): Reception {
    return {
      ...common,
      onChunk: () => {},
      onComplete: (body) => {
        if (ctx.llm === null) return;
        ctx.llm.timeToFirstTokenMs = this.#elapsedMs();
        if (body !== null)
          record(ctx.llm, observeBody(this.#request.protocol, body, { captureText: this.#instance.capturesText }));
      },
      errorTail: () => null,
    };
  }

  #unsupported(): WeirError {
    const { provider } = this.#instance.target;
    return new WeirError('LLM_PROTOCOL_UNSUPPORTED', [
      provider.name,
      this.#request.protocol.name,
      Object.keys(provider.protocols).join(', '),
    ]);
  }

  #elapsedMs(): number {
    return Math.floor(performance.now() - this.#sentAt);
  }
}

function record(call: LlmCall | null, facts: AnswerFacts): void {
  if (call === null) return;
  call.usage = facts.usage;
  call.hasToolCalls = facts.hasToolCalls;
  call.responseText = facts.text;
}

function isEventStream(head: ResponseHead): boolean {
  const contentType = head.fields.get('content-type');
  return head.status < 300 && contentType !== undefined && contentType.toLowerCase().includes('text/event-stream');
}

/** Ends in a blank line, as every complete event does. */
function endsEvent(bytes: Buffer): boolean {
  const end = bytes.length - 1;
  if (bytes[end] !== 0x0a) return false;
  return bytes[end - 1] === 0x0a || (bytes[end - 1] === 0x0d && bytes[end - 2] === 0x0a);
}

function listedNames(connection: string | undefined): readonly string[] {
  return connection === undefined ? noNames : connection.toLowerCase().split(/[ \t]*,[ \t]*/);
}

import { WeirError } from '../../base/errors.ts';
import type { ResponseHead } from '../../http/response-head.ts';
import type { UnsignedRequest } from '../../llm/auth/request-signer.ts';
import { upstreamTarget } from '../../llm/endpoint.ts';
import { isJsonContainer } from '../../llm/json.ts';
import { countTokensPath } from '../../llm/protocols/openai-chat.ts';
import { shapeBody, type ShapedBody } from '../../llm/request-body.ts';
import { convertedFields, requestHeaderLines } from '../../llm/request-headers.ts';
import { noUsage } from '../../llm/usage.ts';
import type { LlmCall, RequestContext } from '../../pipeline/context.ts';
import { refusal, type Reply } from '../../pipeline/reply.ts';
import type { AttemptFailure, OutgoingRequest, Reception, Target } from '../../pipeline/target.ts';
import { hostPort } from '../../upstream/origin.ts';
import { AnswerNotes } from './answer-notes.ts';
import type { LlmInstance } from './llm-instance.ts';
import type { LlmRequest } from './llm-request.ts';
import { loggedUri } from './logged-uri.ts';
import { receiveAnswer } from './receive-answer.ts';
import { translate, type Translation } from './translation.ts';

/** A request to a provider, complete but for a credential that is computed from the rest. */
interface Draft {
  readonly translation: Translation;
  readonly shaped: ShapedBody;
  readonly unsigned: UnsignedRequest;
}

/** A request that is on its way. */
interface Sent {
  readonly translation: Translation;
  readonly model: string;
  readonly notes: AnswerNotes;
}

/** One client's LLM call, addressed to one provider. */
export class LlmAttemptTarget implements Target {
  readonly name: string;
  readonly instance: LlmInstance;
  #request: LlmRequest;
  #sent: Sent | null = null;

  constructor(instance: LlmInstance, request: LlmRequest) {
    this.name = instance.target.instanceName;
    this.instance = instance;
    this.#request = request;
  }

  get address(): string {
    const { host, port } = this.instance.target.endpoint;
    return hostPort(host, port);
  }

  /** What the client asked, for payload logs. */
  get requestMessages(): unknown {
    return this.#request.protocol.requestMessages(this.#request.body.json);
  }

  prepare(ctx: RequestContext): OutgoingRequest | WeirError | Promise<OutgoingRequest | WeirError> {
    const { signer } = this.instance.target;
    const draft = this.#draft(ctx);
    if (draft instanceof WeirError) return draft;
    if (signer === null) return this.#send(ctx, draft, '');
    try {
      const lines = signer.sign(draft.unsigned);
      if (typeof lines === 'string') return this.#send(ctx, draft, lines);
      return lines.then((late) => this.#send(ctx, draft, late)).catch(knownError);
    } catch (error) {
      return knownError(error);
    }
  }

  receive(_ctx: RequestContext, head: ResponseHead): Reception {
    if (this.#sent === null) throw new Error('an answer to a request that was not sent');
    const { target, capturesText } = this.instance;
    return receiveAnswer(head, { ...this.#sent, target, capturesText, protocol: this.#request.protocol });
  }

  /** There is no other instance. */
  answerFailure(ctx: RequestContext, { error, answer }: AttemptFailure): Reply {
    if (answer !== null) return answer;
    if (error === null) throw new Error('a failure of which nothing is known');
    if (this.#sent === null) return refusal(ctx, error);
    const { contentType, body } = this.#request.protocol.renderError(error);
    return { status: error.status, fields: ['Content-Type', contentType], body };
  }

  #draft(ctx: RequestContext): Draft | WeirError {
    const { endpoint, bodyRules, provider } = this.instance.target;
    if (this.#becomesChat()) return this.#unsupported();
    const translation = translate(this.#request, provider);
    if (translation instanceof WeirError) return translation;
    const { protocol, body } = translation;
    const shaped = shapeBody(bodyRules, protocol, body, this.#request.client);
    if (shaped instanceof WeirError) return shaped;
    const target = upstreamTarget(endpoint, protocol, ctx.requestUri, shaped);
    if (target === null) throw new Error(`${provider.name} has no path for ${protocol.name}`);
    if (target instanceof WeirError) return target;
    const method = protocol.keepsRequestLine ? ctx.method : 'POST';
    return { translation, shaped, unsigned: { method, target, host: endpoint.hostHeader, body: shaped.bytes } };
  }

  /**
   * A request to count tokens passes through, which an endpoint with a path would make a chat: one that no guard, limit
   * or log has seen as such.
   */
  #becomesChat(): boolean {
    const { protocol, body } = this.#request;
    const { path } = this.instance.target.endpoint;
    const isElsewhere = path !== null && !path.endsWith(countTokensPath);
    return protocol.keepsRequestLine && isElsewhere && isJsonContainer(body.outline['messages']);
  }

  #unsupported(): WeirError {
    const { name, protocols } = this.instance.target.provider;
    return new WeirError('LLM_PROTOCOL_UNSUPPORTED', [
      name,
      this.#request.protocol.name,
      Object.keys(protocols).join(', '),
    ]);
  }

  /** @param credentialLines - Those of the signer. */
  #send(ctx: RequestContext, { translation, shaped, unsigned }: Draft, credentialLines: string): OutgoingRequest {
    const { target, pool, use } = this.instance;
    const call = startCall(shaped);
    ctx.llm = call;
    this.#sent = { translation, model: shaped.model, notes: new AnswerNotes(call, performance.now()) };

    const { fields } = ctx;
    const { conversion, protocol } = translation;
    const offered = conversion === null ? fields.flat : convertedFields(conversion.converter, fields.flat);
    const lines = requestHeaderLines(target.requestHeaders, offered) + credentialLines;
    const { method, target: uri, body } = unsigned;
    const head = `${method} ${uri} HTTP/1.1\r\n${lines}content-length: ${body.length}\r\n\r\n`;
    const { scheme, hostHeader, lockedArguments } = target.endpoint;
    const logged = this.instance.loggedTargets[protocol.name] ?? loggedUri(uri, lockedArguments);
    return { pool, use, wire: { method, head, body }, scheme, host: hostHeader, uri: logged };
  }
}

function startCall(shaped: ShapedBody): LlmCall {
  return {
    requestType: shaped.stream ? 'ai_stream' : 'ai_chat',
    requestModel: shaped.requestModel,
    model: shaped.model,
    toolCount: shaped.toolCount,
    endUserId: shaped.endUserId,
    timeToFirstTokenMs: 0,
    usage: noUsage,
    rawUsage: null,
    hasToolCalls: false,
    responseText: null,
  };
}

/** What is known to go wrong; anything else is a fault and goes on as one. */
function knownError(error: unknown): WeirError {
  if (error instanceof WeirError) return error;
  throw error;
}

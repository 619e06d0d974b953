import { WeirError } from '../../base/errors.ts';
import type { Pool, Pools } from '../../upstream/pool.ts';
import type { PoolUse, WireRequest } from '../../upstream/connection.ts';
import { upstreamTarget } from '../endpoint.ts';
import { parseJsonObject, type JsonObject } from '../json.ts';
import type { Protocol } from '../protocols/protocol.ts';
import { bodyFromJson, shapeBody } from '../request-body.ts';
import { requestHeaderLines } from '../request-headers.ts';
import type { LlmTarget } from '../target.ts';
import { collectAnswer } from './collect-answer.ts';

interface LlmClientOptions {
  readonly target: LlmTarget;
  /** What the provider is spoken to in; {@link LlmClient.ask} fails when it does not speak it. */
  readonly protocol: Protocol;
  readonly pools: Pools;
}

/** Asks a provider on the gateway's own behalf: nothing of a client's request goes there but what the body says. */
export class LlmClient {
  readonly #target: LlmTarget;
  readonly #protocol: Protocol;
  readonly #pool: Pool;
  readonly #use: PoolUse;

  constructor({ target, protocol, pools }: LlmClientOptions) {
    const { scheme, host, port } = target.endpoint;
    this.#target = target;
    this.#protocol = protocol;
    this.#pool = pools.get({ origin: { scheme, host, port }, verifyTls: target.verifiesCertificate });
    this.#use = {
      timeoutMs: target.timeoutMs,
      keepAlive: target.keepalive !== null,
      idleTimeoutMs: target.keepalive?.idleTimeoutMs ?? 0,
      maxIdle: target.keepalive?.maxIdle ?? 0,
    };
  }

  /**
   * Sends a request and reads its answer. `timeoutMs` of the target is the time for all of it.
   *
   * @param body - In the protocol of this client; the target's options go over it.
   * @param signal - Ends the call because nobody is interested any more; its reason is a WeirError.
   * @throws WeirError UPSTREAM_ANSWER (a status other than 200, or what is no JSON object), LLM_PROTOCOL_UNSUPPORTED,
   *   LLM_UPSTREAM_PATH, the reason of `signal`, and those of the connection: UPSTREAM_CONNECT, UPSTREAM_READ_TIMEOUT, ...
   */
  async ask(body: JsonObject, signal: AbortSignal): Promise<JsonObject> {
    const { status, bytes } = await collectAnswer(this.#pool, {
      wire: this.#wire(body),
      use: this.#use,
      signal,
    });
    if (status !== 200) throw new WeirError('UPSTREAM_ANSWER', [`status ${status}`]);
    const answer = parseJsonObject(bytes.toString());
    if (answer === null) throw new WeirError('UPSTREAM_ANSWER', ['it is no JSON object']);
    return answer;
  }

  #wire(json: JsonObject): WireRequest {
    const { endpoint, bodyRules, requestHeaders, provider } = this.#target;
    const shaped = shapeBody(bodyRules, this.#protocol, bodyFromJson(json));
    if (shaped instanceof WeirError) throw shaped;
    const uri = upstreamTarget(endpoint, this.#protocol, '/', shaped);
    if (uri instanceof WeirError) throw uri;
    if (uri === null) {
      const spoken = Object.keys(provider.protocols).join(', ');
      throw new WeirError('LLM_PROTOCOL_UNSUPPORTED', [provider.name, this.#protocol.name, spoken]);
    }
    const lines = requestHeaderLines(requestHeaders, []);
    const head = `POST ${uri} HTTP/1.1\r\n${lines}content-length: ${shaped.bytes.length}\r\n\r\n`;
    return { method: 'POST', head, body: shaped.bytes };
  }
}

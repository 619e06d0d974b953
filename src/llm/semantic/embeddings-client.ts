import { longestTimerMs } from '../../base/longest-timer.ts';
import type { Pools } from '../../upstream/pool.ts';
import { LlmClient } from '../client/llm-client.ts';
import { openaiEmbeddings } from '../protocols/openai-embeddings.ts';
import { compileLlmTarget } from '../target.ts';
import { readEmbeddings } from './read-embeddings.ts';
import type { UnitVector } from './unit-vector.ts';

/** Where texts are embedded: `semantic_opts.embeddings`. */
export interface EmbeddingsConf {
  /** Azure's deployments are called as OpenAI is, at a URL of their own. */
  readonly provider: 'openai' | 'azure-openai';
  readonly model: string;
  readonly auth: {
    readonly header?: Readonly<Record<string, string>>;
    readonly query?: Readonly<Record<string, string>>;
  };
  /** Not set: OpenAI's public API. */
  readonly endpoint?: string;
  /** Of a call as a whole, in ms. */
  readonly timeout: number;
  readonly ssl_verify: boolean;
}

/** OpenAI takes 2048. Of so many, with 3072 numbers each, the answer stays below what is read of one. */
const maxTextsPerCall = 128;

/** Asks an embeddings API on the gateway's own behalf. */
export class EmbeddingsClient {
  readonly #client: LlmClient;

  constructor({ endpoint, timeout, ssl_verify, ...conf }: EmbeddingsConf, pools: Pools) {
    const target = compileLlmTarget({
      provider: 'openai',
      auth: conf.auth,
      options: { model: conf.model },
      ...(endpoint !== undefined && { override: { endpoint, request_body_force_override: false } }),
      timeout: Math.min(timeout, longestTimerMs),
      ssl_verify,
      max_req_body_size: Infinity,
      keepalive: true,
      keepalive_timeout: 60_000,
      keepalive_pool: 30,
    });
    this.#client = new LlmClient({ target, protocol: openaiEmbeddings, pools });
  }

  /**
   * One call; several at once for more than 128 texts.
   *
   * @param signal - Ends the call because nobody is interested any more; its reason is a WeirError.
   * @returns In the order of the texts.
   * @throws WeirError those of {@link LlmClient.ask} and of {@link readEmbeddings}.
   */
  async embed(texts: readonly string[], signal: AbortSignal): Promise<UnitVector[]> {
    const batches = Array.from({ length: Math.ceil(texts.length / maxTextsPerCall) }, (_, i) =>
      texts.slice(i * maxTextsPerCall, (i + 1) * maxTextsPerCall),
    );
    const embedded = await Promise.all(
      batches.map(async (input) => readEmbeddings(await this.#client.ask({ input }, signal), input.length)),
    );
    return embedded.flat();
  }
}

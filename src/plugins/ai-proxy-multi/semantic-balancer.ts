import { findPromptFormat } from '../../llm/prompts/index.ts';
import { detectProtocol } from '../../llm/protocols/index.ts';
import { EmbeddingsClient } from '../../llm/semantic/embeddings-client.ts';
import { toQueryText } from '../../llm/semantic/query-text.ts';
import { SemanticIndex } from '../../llm/semantic/semantic-index.ts';
import type { RequestContext } from '../../pipeline/context.ts';
import type { PluginEnv } from '../../pipeline/define-plugin.ts';
import { whileAwaited } from '../../pipeline/while-awaited.ts';
import type { Balancer, Picker } from '../../upstream/balancer/balancer.ts';
import type { AiProxyMultiConf } from './schema.ts';
import { SemanticRanking, type Ranking } from './semantic-ranking.ts';
import { StateLog } from './state-log.ts';

type SemanticOptions = NonNullable<AiProxyMultiConf['semantic_opts']>;

/**
 * Sends a request to the instance whose examples are most like what its user has said last. Whatever goes wrong with the
 * embeddings, the client hears nothing of it: then the fallback serves.
 */
export class SemanticBalancer implements Balancer {
  readonly #index: SemanticIndex;
  readonly #ranking: SemanticRanking;
  /** Null: answers do not tell how they were routed. */
  readonly #shownNames: readonly string[] | null;

  /** @param conf - With examples for each instance; `checkConfiguration` sees to it. */
  constructor({ instances }: Pick<AiProxyMultiConf, 'instances'>, options: SemanticOptions, env: PluginEnv) {
    const stateLog = new StateLog(env.log, {
      broken: 'ai-proxy-multi: prompts cannot be compared with examples, the fallback instance serves',
      restored: 'ai-proxy-multi: prompts are compared with examples again',
      fields: { owner: env.owner },
    });
    this.#index = new SemanticIndex({
      client: new EmbeddingsClient(options.embeddings, env.pools),
      examples: instances.map(({ examples = [] }) => examples),
      onOutcome: (error) => stateLog.note(error),
    });
    const thresholds = instances.map(({ threshold = options.threshold }) => threshold);
    const fallback = instances.findIndex(({ name }) => name === options.fallback);
    this.#ranking = new SemanticRanking(thresholds, Math.max(0, fallback));
    this.#shownNames = options.debugging ? instances.map(({ name }) => toFieldValue(name)) : null;
  }

  /** @throws WeirError CLIENT_CLOSED_REQUEST or SHUTTING_DOWN when nobody waits for the answer any more. */
  begin(ctx: RequestContext): Picker | Promise<Picker> {
    const text = lastUserText(ctx);
    return text === '' ? this.#pickerOf(ctx, null) : this.#ask(ctx, text);
  }

  #ask(ctx: RequestContext, text: string): Promise<Picker> {
    return whileAwaited(ctx, async (signal) => {
      try {
        return this.#pickerOf(ctx, await this.#index.scores(text, signal));
      } catch (error) {
        if (signal.aborted) throw error;
        return this.#pickerOf(ctx, null);
      }
    });
  }

  #pickerOf(ctx: RequestContext, scores: readonly number[] | null): Picker {
    const ranking = this.#ranking.of(scores);
    const names = this.#shownNames;
    if (names === null) return new RankingPicker(ranking);
    if (scores !== null) {
      const shown = scores.map((score, index) => `${names[index]}:${score.toFixed(4)}`).join(',');
      ctx.exchange.setField('X-AI-Semantic-Scores', shown);
    }
    return new RankingPicker(ranking, (index, isMatch) =>
      ctx.exchange.setField('X-AI-Semantic-Picked-Instance', isMatch ? (names[index] ?? '') : 'fallback'),
    );
  }
}

class RankingPicker implements Picker {
  readonly #ranking: Ranking;
  readonly #onPick: ((index: number, isMatch: boolean) => void) | undefined;

  constructor(ranking: Ranking, onPick?: (index: number, isMatch: boolean) => void) {
    this.#ranking = ranking;
    this.#onPick = onPick;
  }

  next(excluded: ReadonlySet<number>): number {
    const { order, matches } = this.#ranking;
    const place = order.findIndex((index) => !excluded.has(index));
    const index = order[place] ?? -1;
    if (index !== -1) this.#onPick?.(index, place < matches);
    return index;
  }
}

/** What is embedded of a request; '' if it says nothing. */
function lastUserText(ctx: RequestContext): string {
  const body = ctx.llmBody;
  const protocol = body === null ? null : detectProtocol(ctx.path, body.outline);
  if (body === null || protocol === null) return '';
  const text = findPromptFormat(protocol.name)?.lastUserText(body.json) ?? '';
  return text.trim() === '' ? '' : toQueryText(text.toWellFormed());
}

/** Names may hold what a header field may not. */
function toFieldValue(name: string): string {
  return name.toWellFormed().replace(/[^\x20-\x2b\x2d-\x39\x3b-\x7e]/gu, encodeURIComponent);
}

import { WeirError } from '../../base/errors.ts';
import { Backoff } from './backoff.ts';
import type { EmbeddingsClient } from './embeddings-client.ts';
import { ReferenceCache, type References } from './reference-cache.ts';
import { cosine, type UnitVector } from './unit-vector.ts';

interface SemanticIndexOptions {
  readonly client: Pick<EmbeddingsClient, 'embed'>;
  /** Of each instance, at least one. */
  readonly examples: readonly (readonly string[])[];
  /** Told how each question has ended, null: well; and of each failure to embed the examples. */
  readonly onOutcome: (error: unknown) => void;
}

/** A nuisance now and then is no reason to leave the API alone. */
const toleratedFailures = 3;

/** Knows what kinds of texts instances are meant for, from examples of such texts. */
export class SemanticIndex {
  readonly #client: Pick<EmbeddingsClient, 'embed'>;
  readonly #onOutcome: (error: unknown) => void;
  readonly #references: ReferenceCache;
  readonly #backoff = new Backoff({ tolerated: toleratedFailures });

  /** Begins to fetch the references. */
  constructor({ client, examples, onOutcome }: SemanticIndexOptions) {
    this.#client = client;
    this.#onOutcome = onOutcome;
    const texts = examples.flat();
    // Nobody's leaving ends this call: others wait for it, or will.
    const neverAborted = new AbortController().signal;
    this.#references = new ReferenceCache({
      fetch: async () => regroup(await client.embed(texts, neverAborted), examples),
      onFailure: onOutcome,
    });
  }

  /**
   * How similar a text is to the best matching example of each instance, from -1 to 1. References that are still on their
   * way are waited for while the text is embedded, so together no longer than one call may take.
   *
   * @param signal - Ends the call because nobody is interested any more; its reason is a WeirError.
   * @throws WeirError those of {@link EmbeddingsClient.embed}, or UPSTREAM_ANSWER while the API is left alone.
   */
  async scores(text: string, signal: AbortSignal): Promise<readonly number[]> {
    try {
      const scores = await this.#compare(text, signal);
      this.#onOutcome(null);
      return scores;
    } catch (error) {
      if (!signal.aborted) this.#onOutcome(error);
      throw error;
    }
  }

  async #compare(text: string, signal: AbortSignal): Promise<readonly number[]> {
    if (this.#backoff.isPaused) throw new WeirError('UPSTREAM_ANSWER', ['it has failed several times in a row']);
    const references = this.#references.get();
    const [known, vector] = await Promise.all([references, this.#embed(text, signal)]);
    if (vector.length !== known[0]?.[0]?.length) {
      this.#references.distrust();
      throw new WeirError('UPSTREAM_ANSWER', ['a text and the examples are embedded in different dimensions']);
    }
    return known.map((vectors) => Math.max(...vectors.map((reference) => cosine(vector, reference))));
  }

  async #embed(text: string, signal: AbortSignal): Promise<UnitVector> {
    try {
      const [vector] = await this.#client.embed([text], signal);
      if (vector === undefined) throw new Error('a text was embedded as nothing');
      this.#backoff.succeeded();
      return vector;
    } catch (error) {
      // An answer, if only a refusal of this one text, costs nobody else's time.
      const isAnswer = error instanceof WeirError && error.code === 'UPSTREAM_ANSWER';
      if (!isAnswer && !signal.aborted) this.#backoff.failed();
      throw error;
    }
  }
}

function regroup(vectors: readonly UnitVector[], examples: readonly (readonly string[])[]): References {
  let at = 0;
  return examples.map(({ length }) => vectors.slice(at, (at += length)));
}

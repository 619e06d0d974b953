import { WeirError } from '../base/errors.ts';
import { compileConsumerPipeline, type Pipeline, type PipelineParts } from '../pipeline/compile.ts';
import type { Consumer, ConsumerOverlay } from '../pipeline/consumer.ts';
import type { CompiledRoute } from './route-compiler.ts';

/** How many pipelines are kept: about 1 KiB each, and made anew in 20 us. */
const maxKept = 10_000;

/**
 * The pipelines of consumers with plugins of their own or of their group, made for the first request of one on a route. One
 * for each snapshot.
 */
export class MergedPipelines {
  readonly #parts: PipelineParts;
  readonly #kept = new Map<CompiledRoute, Map<ConsumerOverlay, Pipeline>>();
  #count = 0;

  constructor(parts: PipelineParts) {
    this.#parts = parts;
  }

  /**
   * What a request goes on with whose consumer is known.
   *
   * @throws WeirError CONSUMER_GROUP_MISSING
   */
  get(route: CompiledRoute, { name, overlay }: Consumer): Pipeline {
    if (overlay === null) return route.pipeline;
    if (overlay.missingGroup !== null) throw new WeirError('CONSUMER_GROUP_MISSING', [overlay.missingGroup, name]);
    return this.#kept.get(route)?.get(overlay) ?? this.#merge(route, overlay);
  }

  #merge(route: CompiledRoute, overlay: ConsumerOverlay): Pipeline {
    if (this.#count === maxKept) {
      // Rarely happens, and costs little: no need to know which ones were used last.
      this.#kept.clear();
      this.#count = 0;
    }
    const pipeline = compileConsumerPipeline(overlay.layers, route.plugins, this.#parts);
    const ofRoute = this.#kept.get(route) ?? new Map<ConsumerOverlay, Pipeline>();
    this.#kept.set(route, ofRoute.set(overlay, pipeline));
    this.#count++;
    return pipeline;
  }
}

import { WeirError } from '../../base/errors.ts';
import type { Log } from '../../base/log.ts';
import type { RequestContext } from '../../pipeline/context.ts';
import { WindowStoreError, type WindowState, type WindowStore } from '../../rate-limit/window-store.ts';
import type { AppliedLimit, TokenLimits } from './token-limits.ts';

/** Where the limits of a configuration stand. */
export interface LimitSource {
  readonly limits: TokenLimits;
  readonly store: WindowStore;
  readonly log: Log;
}

/** How a request to an instance stands to its limits. */
export interface Standing {
  readonly limits: readonly AppliedLimit[];
  /** One for each of `limits`; none where they are not known. */
  readonly windows: readonly WindowState[];
  /** Why limits or windows are not known: RATE_LIMIT_VALUE, RATE_LIMIT_STORE; null: they are. */
  readonly failure: WeirError | null;
}

/** The standings of one request. Every window is read once, whoever asks, and a store that is away is waited for once. */
export class Standings {
  readonly #source: LimitSource;
  readonly #byInstance = new Map<string, Standing>();
  /** By key: instances may share them. */
  readonly #windows = new Map<string, WindowState>();
  #isStoreAway = false;

  constructor(source: LimitSource) {
    this.#source = source;
  }

  /** What {@link of} has found; undefined: nobody has asked. */
  known(instance: string): Standing | undefined {
    return this.#byInstance.get(instance);
  }

  of(ctx: RequestContext, instance: string): Standing | Promise<Standing> {
    const known = this.#byInstance.get(instance);
    if (known !== undefined) return known;
    const limits = this.#source.limits.of(ctx, instance);
    if (typeof limits === 'string') return this.#keep(instance, this.#withoutLimits(ctx, limits));
    if (this.#isStoreAway && limits.length > 0) return this.#keep(instance, withoutWindows(limits));
    const { store } = this.#source;
    const windows = limits.map(({ key, windowMs }) => this.#windows.get(key) ?? store.read(key, windowMs));
    if (areHere(windows)) return this.#withWindows(instance, limits, windows);
    return Promise.all(windows.map((window) => Promise.resolve(window))).then(
      (late) => this.#withWindows(instance, limits, late),
      (error: unknown) => {
        // Any other is a fault. This one has been logged by the store.
        if (!(error instanceof WindowStoreError)) throw error;
        this.#isStoreAway = true;
        return this.#keep(instance, withoutWindows(limits));
      },
    );
  }

  #withWindows(instance: string, limits: readonly AppliedLimit[], windows: readonly WindowState[]): Standing {
    for (const [index, { key }] of limits.entries()) {
      const window = windows[index];
      if (window !== undefined) this.#windows.set(key, window);
    }
    return this.#keep(instance, { limits, windows, failure: null });
  }

  #withoutLimits(ctx: RequestContext, reason: string): Standing {
    const failure = new WeirError('RATE_LIMIT_VALUE', [reason]);
    const facts = { code: failure.code, request_id: ctx.id, route_id: ctx.route?.id };
    this.#source.log.error(`ai-rate-limiting: ${failure.message}`, facts);
    return { limits: [], windows: [], failure };
  }

  #keep(instance: string, standing: Standing): Standing {
    this.#byInstance.set(instance, standing);
    return standing;
  }
}

function withoutWindows(limits: readonly AppliedLimit[]): Standing {
  return { limits, windows: [], failure: new WeirError('RATE_LIMIT_STORE') };
}

function areHere(windows: readonly (WindowState | Promise<WindowState>)[]): windows is readonly WindowState[] {
  return !windows.some((window) => window instanceof Promise);
}

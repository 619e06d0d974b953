import { WeirError } from '../../base/errors.ts';
import type { RepeatedLog } from '../../base/repeated-log.ts';
import type { RequestContext } from '../../pipeline/context.ts';
import { WindowStoreError, type WindowState, type WindowStore } from '../../rate-limit/window-store.ts';
import type { AppliedLimit, TokenLimits } from './token-limits.ts';

/** Where the limits of a configuration stand. */
export interface LimitSource {
  readonly limits: TokenLimits;
  readonly store: WindowStore;
  /** For what may be wrong with every request. */
  readonly log: RepeatedLog;
}

/** How a request to an instance stands to its limits. */
export interface Standing {
  readonly limits: readonly AppliedLimit[];
  /** One for each of `limits`; none where they are not known. */
  readonly windows: readonly WindowState[];
  /** Why limits or windows are not known: RATE_LIMIT_VALUE, RATE_LIMIT_STORE; null: they are. */
  readonly failure: WeirError | null;
}

type Window = WindowState | Promise<WindowState>;

/**
 * The standings of one request. Every window is read once, whoever asks. A store that answers late is asked for all of them
 * with the first: however many instances are tried, the request waits once, and a slow store costs it one timeout.
 */
export class Standings {
  readonly #source: LimitSource;
  readonly #byInstance = new Map<string, Standing>();
  /** By key: instances may share them. */
  readonly #windows = new Map<string, Window>();

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
    const isFirst = this.#windows.size === 0;
    const windows = limits.map((limit) => this.#windowOf(limit));
    if (areHere(windows)) return this.#keep(instance, { limits, windows, failure: null });
    if (isFirst) for (const limit of this.#source.limits.ofAny(ctx)) void this.#windowOf(limit);
    return Promise.all(windows.map((window) => Promise.resolve(window))).then(
      (late) => this.#keep(instance, { limits, windows: late, failure: null }),
      (error: unknown) => {
        // Any other is a fault. This one has been logged by the store.
        if (!(error instanceof WindowStoreError)) throw error;
        return this.#keep(instance, withoutWindows(limits));
      },
    );
  }

  #windowOf({ key, windowMs }: AppliedLimit): Window {
    let window = this.#windows.get(key);
    if (window === undefined) {
      window = this.#source.store.read(key, windowMs);
      this.#windows.set(key, window);
      // Perhaps nobody will ask for the instance.
      if (window instanceof Promise) window.catch(() => {});
    }
    return window;
  }

  #withoutLimits(ctx: RequestContext, reason: string): Standing {
    const failure = new WeirError('RATE_LIMIT_VALUE', [reason]);
    this.#source.log.write(failure.code, {
      level: 'error',
      message: `ai-rate-limiting: ${failure.message}`,
      fields: { code: failure.code, request_id: ctx.id, route_id: ctx.route?.id },
    });
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

function areHere(windows: readonly Window[]): windows is readonly WindowState[] {
  return !windows.some((window) => window instanceof Promise);
}

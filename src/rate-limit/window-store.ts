/** A fixed window of one key: it begins with the first amount that is added, and ends after its length. */
export interface WindowState {
  /** What was added since the window began; 0 when none is open. */
  readonly used: number;
  /** Until the window ends; its whole length when none is open. */
  readonly resetMs: number;
}

/** What is to be taken from a window. */
export interface Take {
  readonly amount: number;
  readonly limit: number;
  readonly windowMs: number;
}

/**
 * Where windows are kept: the memory that the workers of this machine share, or a Redis. Local stores answer at once,
 * others with a Promise, which rejects with a {@link WindowStoreError} within the time that is configured.
 */
export interface WindowStore {
  /** Changes nothing. */
  read(key: string, windowMs: number): WindowState | Promise<WindowState>;
  /** Adds whatever the limit is: what was used cannot be given back. */
  add(key: string, amount: number, windowMs: number): WindowState | Promise<WindowState>;
  /** Adds only if the amount fits in the limit, in one step with looking. */
  take(key: string, take: Take): TakenWindow | Promise<TakenWindow>;
}

export interface TakenWindow extends WindowState {
  readonly taken: boolean;
}

/** The store cannot be asked: it is away, too slow, or refuses. The message names it, without any password. */
export class WindowStoreError extends Error {
  constructor(message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = 'WindowStoreError';
  }
}

import { setTimeout as sleep } from 'node:timers/promises';
import type { Fault } from './faults.ts';

const firstTokenMs = 150;
const minTokenMs = 15;
const maxTokenMs = 40;
/** A plain answer is not written at the pace of a reader. */
const plainTokenMs = 5;
const slowdown = 8;

/** The provider's speed, the same for the same answer at each time. */
export class Pacing {
  readonly #factor: number;

  /** @param pace - 1: as a real provider, 0: as fast as possible. */
  constructor(pace: number, fault: Fault | null) {
    this.#factor = fault === 'slow' ? pace * slowdown : pace;
  }

  beforeFirstToken(): Promise<void> {
    return this.#wait(firstTokenMs);
  }

  /** Time to make one token: longer ones take longer. */
  afterToken(token: string): Promise<void> {
    return token === '' ? Promise.resolve() : this.#wait(Math.min(minTokenMs + 3 * token.trim().length, maxTokenMs));
  }

  wholeAnswer(tokens: number): Promise<void> {
    return this.#wait(firstTokenMs + plainTokenMs * tokens);
  }

  async #wait(milliseconds: number): Promise<void> {
    if (this.#factor > 0) await sleep(milliseconds * this.#factor);
  }
}

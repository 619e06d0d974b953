/** Tells on stderr what runs and how long it will still take. On a terminal one line that is written over. */
export class Progress {
  readonly #startedMs = performance.now();
  readonly #isTerminal = process.stderr.isTTY;
  #estimatedSeconds: number;
  #doneSeconds = 0;

  /** @param estimatedSeconds - Of everything, as the scenarios guess it. */
  constructor(estimatedSeconds: number) {
    this.#estimatedSeconds = estimatedSeconds;
  }

  doing(what: string): void {
    const line = `${clock(this.#passedSeconds())} ${what}, about ${clock(this.#leftSeconds())} left`;
    if (!this.#isTerminal) process.stderr.write(`${line}\n`);
    else process.stderr.write(`\r\x1b[2K${line.slice(0, process.stderr.columns - 1)}`);
  }

  /** Something is to be done that nobody had foreseen. @param seconds - As estimated. */
  more(seconds: number): void {
    this.#estimatedSeconds += seconds;
  }

  /** @param seconds - As estimated, not as it took. */
  done(seconds: number): void {
    this.#doneSeconds += seconds;
  }

  /** Makes room for output. */
  clear(): void {
    if (this.#isTerminal) process.stderr.write('\r\x1b[2K');
  }

  #passedSeconds(): number {
    return (performance.now() - this.#startedMs) / 1000;
  }

  /** What is left of the estimate, in the ratio in which the estimate was wrong so far. */
  #leftSeconds(): number {
    const left = this.#estimatedSeconds - this.#doneSeconds;
    return this.#doneSeconds < 10 ? left : left * (this.#passedSeconds() / this.#doneSeconds);
  }
}

function clock(seconds: number): string {
  const whole = Math.max(0, Math.round(seconds));
  return `${Math.floor(whole / 60)}:${String(whole % 60).padStart(2, '0')}`;
}

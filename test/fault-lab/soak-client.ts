import { Agent, request as sendRequest } from 'node:http';
import type { ReceivedAnswer } from './dialects.ts';

/** When a client gives up: never, when the provider has its request, or with the first bytes of the answer. */
export type Patience = 'stays' | 'leaves while waiting' | 'leaves while reading';

/** What became of a request. */
export interface SoakAnswer extends ReceivedAnswer {
  /** 0: no answer came. */
  readonly status: number;
  readonly left: boolean;
}

/** A client that keeps its connections. */
export class SoakClient {
  readonly #agent = new Agent({ keepAlive: true });
  /** How those who leave while waiting learn that the provider has their request. */
  readonly #leaving = new Map<string, () => void>();

  /** The provider has the request with this id. */
  providerHas(id: string): void {
    this.#leaving.get(id)?.();
  }

  /** Sends a request and waits for what becomes of it. Never rejects. */
  ask(url: string, { id, body, patience }: { id: string; body: object; patience: Patience }): Promise<SoakAnswer> {
    const { promise, resolve } = Promise.withResolvers<SoakAnswer>();
    const bytes = Buffer.from(JSON.stringify(body));
    const pieces: Buffer[] = [];
    let left = false;
    const outgoing = sendRequest(url, {
      method: 'POST',
      agent: this.#agent,
      headers: { 'Content-Length': bytes.length, 'Content-Type': 'application/json' },
    });
    const finish = (answer: Omit<SoakAnswer, 'left' | 'text'>): void => {
      this.#leaving.delete(id);
      resolve({ ...answer, left, text: Buffer.concat(pieces).toString() });
    };
    const leave = (): void => {
      left = true;
      outgoing.destroy();
    };
    if (patience === 'leaves while waiting') this.#leaving.set(id, leave);
    outgoing.on('error', () => {});
    let isAnswered = false;
    outgoing.on('response', (response) => {
      isAnswered = true;
      response.on('data', (piece: Buffer) => {
        pieces.push(piece);
        if (patience === 'leaves while reading') leave();
      });
      response.on('error', () => {});
      response.on('close', () =>
        finish({ status: response.statusCode ?? 0, headers: response.headers, complete: response.complete }),
      );
    });
    outgoing.on('close', () => {
      if (!isAnswered) finish({ status: 0, headers: {}, complete: false });
    });
    outgoing.end(bytes);
    return promise;
  }

  close(): void {
    this.#agent.destroy();
  }
}

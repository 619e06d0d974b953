/** A call to etcd that failed. The message names the member and never holds a credential. */
export class EtcdError extends Error {
  /** Code of gRPC, or `null` when no answer of etcd came. https://grpc.io/docs/guides/status-codes/ */
  readonly code: number | null;
  /** False when etcd cannot have seen the call: nothing of it can have happened. */
  readonly sent: boolean;

  constructor(message: string, details: { readonly code?: number; readonly sent?: boolean; readonly cause?: unknown }) {
    super(message, { cause: details.cause });
    this.name = 'EtcdError';
    this.code = details.code ?? null;
    this.sent = details.sent ?? true;
  }

  /** Whether another member, or the same one later, may well answer: it is away, or has no leader. */
  get isTransient(): boolean {
    // 4: deadline exceeded, 14: unavailable.
    return this.code === null || this.code === 4 || this.code === 14;
  }

  /** Whether etcd does not take the token any more: it forgets them when it restarts. */
  get isStaleToken(): boolean {
    return this.code === 16 || /invalid auth token|auth store is old/.test(this.message);
  }
}

/** One event of a streamed answer, whatever its framing. */
export interface StreamEvent {
  /** Its type; `message` if the sender named none. */
  readonly event: string;
  readonly data: string;
  readonly id?: string;
  /** Reconnection time in ms that the server asks for. */
  readonly retry?: number;
}

/** What a signature covers. */
export interface UnsignedRequest {
  readonly method: string;
  /** Path and query as they will be sent. */
  readonly target: string;
  /** The value of the Host field. */
  readonly host: string;
  readonly body: Uint8Array;
}

/** Gives a request credentials that are computed: a signature, or a token that has to be fetched first. */
export interface RequestSigner {
  /**
   * @returns Header lines to add, each with its CRLF; at once where nothing has to be fetched.
   * @throws WeirError LLM_AUTH (500), also as a rejection, when there is no credential to be had. No secret is in its text.
   */
  sign(request: UnsignedRequest): string | Promise<string>;
}

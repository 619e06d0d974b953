/** Values of the named parts of a route's uri (`/blog/:name`), percent-decoded like the path they come from. */
export type PathParams = Readonly<Record<string, string>>;

/** The parameters of a request whose route has none. */
export const noPathParams: PathParams = Object.freeze({});

/** Who sends a request: what variables tell of it. */
export interface ConsumerIdentity {
  /** Its `username`. */
  readonly name: string;
  readonly groupId: string | undefined;
  /** Name of the resource `credentials` that it was recognized by. */
  readonly credentialId: string | undefined;
}

/** All that routing and variables may ask of a request. The request context implements it. */
export interface RequestView {
  /** As sent, case-sensitive. */
  readonly method: string;
  /** Decoded and normalised, without query: what nginx calls `$uri` (see normalizePath). */
  readonly path: string;
  /** The request target as it was sent. */
  readonly requestUri: string;
  /** As sent, without `?`; empty when there is none. */
  readonly queryString: string;
  /** Lower case, without port and trailing dot; empty when the client named none. */
  readonly host: string;
  readonly scheme: 'http' | 'https';
  /** `1.1` or `1.0`. */
  readonly httpVersion: string;
  readonly remoteAddress: string;
  readonly remotePort: number;
  readonly serverAddress: string;
  readonly serverPort: number;
  /** Null until a plugin has recognized the consumer; routes are chosen before. */
  readonly consumer: ConsumerIdentity | null;
  /** Written by the router's `match`; {@link noPathParams} before. */
  pathParams: PathParams;
  /** @returns The value of the header, several of one name joined as their grammar says (`, `; `; ` for cookie). */
  header(lowerCaseName: string): string | undefined;
  /** Null until the body has been read. */
  readonly body: Uint8Array | null;
  /** The body as JSON, parsed once; undefined when it has not been read or is not JSON. */
  jsonBody(): unknown;
}

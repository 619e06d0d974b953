import type { IncomingHttpHeaders } from 'node:http';

/** Ways to misbehave other than an error status. */
const misbehaviours = ['slow', 'broken-stream', 'stall', 'garbage', 'empty-stream', 'reset'] as const;

/**
 * What a request asks the demo provider to do wrong. A number: answer with that status.
 *
 * | slow          | answers, at an eighth of its speed                                   |
 * | broken-stream | cuts the connection in the middle of the answer                      |
 * | stall         | sends the beginning of the answer, then nothing                      |
 * | garbage       | answers 200 with what is no JSON                                     |
 * | empty-stream  | answers 200 with an event stream that ends at once                   |
 * | reset         | resets the connection instead of answering                           |
 */
export type Fault = (typeof misbehaviours)[number] | number;

const asked =
  /\bfail(?:ing)? with (?:an? )?(?:status |http )?(?:([45]\d\d)\b|(broken|stall|garbage|empty|reset))|\banswer (slowly)\b/i;

/**
 * Reads the wish from the headers `x-demo-status: 429` and `x-demo: stall`, or from the prompt ("please fail with 429").
 *
 * @returns Null: none. A string: what is wrong with the header.
 */
export function findFault(headers: IncomingHttpHeaders, prompt: string): { readonly fault: Fault | null } | string {
  const status = headers['x-demo-status'];
  if (status !== undefined) {
    return /^[45]\d\d$/.test(String(status)) ? { fault: Number(status) } : 'x-demo-status: expected 400 to 599';
  }
  const name = headers['x-demo'];
  if (name !== undefined) {
    const known = misbehaviours.find((misbehaviour) => misbehaviour === name);
    return known === undefined ? `x-demo: expected one of ${misbehaviours.join(', ')}` : { fault: known };
  }
  const wish = asked.exec(prompt);
  if (wish === null) return { fault: null };
  if (wish[1] !== undefined) return { fault: Number(wish[1]) };
  const word = (wish[2] ?? 'slow').toLowerCase();
  return { fault: misbehaviours.find((misbehaviour) => misbehaviour.startsWith(word)) ?? null };
}

interface ErrorKind {
  readonly type: string;
  readonly code: string | null;
  readonly message: string;
}

const requested = 'You asked the demo provider for it.';

/** https://platform.openai.com/docs/guides/error-codes/api-errors */
const errorKinds: Readonly<Record<number, ErrorKind>> = {
  401: { type: 'invalid_request_error', code: 'invalid_api_key', message: `Incorrect API key provided. ${requested}` },
  403: {
    type: 'invalid_request_error',
    code: 'unsupported_country_region_territory',
    message: `Not here. ${requested}`,
  },
  404: { type: 'invalid_request_error', code: 'model_not_found', message: `No such model. ${requested}` },
  429: { type: 'requests', code: 'rate_limit_exceeded', message: `Rate limit reached. ${requested}` },
  500: { type: 'server_error', code: null, message: `The server had an error. ${requested}` },
  503: { type: 'server_error', code: null, message: `The engine is currently overloaded. ${requested}` },
};

/** The error body for a status that a client wished for. */
export function toFaultBody(status: number): object {
  const kind = errorKinds[status] ?? {
    type: status >= 500 ? 'server_error' : 'invalid_request_error',
    code: null,
    message: `Status ${status}. ${requested}`,
  };
  return toErrorBody(kind.message, { type: kind.type, code: kind.code });
}

/** An error in OpenAI's shape. */
export function toErrorBody(
  message: string,
  kind: { readonly type?: string; readonly code?: string | null } = {},
): object {
  return { error: { message, type: kind.type ?? 'invalid_request_error', param: null, code: kind.code ?? null } };
}

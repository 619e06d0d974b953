/** Why something failed. For `fetch`, which only says "fetch failed", what its cause says. */
export function errorText(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  const { cause, message } = error;
  if (message !== 'fetch failed' || !(cause instanceof Error)) return message;
  return cause.message === '' && 'code' in cause ? String(cause.code) : cause.message;
}

/**
 * Cuts a text into what the demo provider calls tokens: a word with the space before it, long words in pieces. Joined
 * they are the text again. Real tokenizers cut finer; what matters here is that usage, `max_tokens` and the pieces of a
 * stream agree.
 */
export function splitTokens(text: string): string[] {
  return text.match(/\s*\S{1,12}|\s+$/gu) ?? [];
}

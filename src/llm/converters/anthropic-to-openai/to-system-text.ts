import { isJsonObject } from '../../json.ts';

/**
 * The system prompt as one text.
 *
 * @param system - Of a Messages request: a text, or blocks of text.
 * @returns `''` if there is none.
 */
export function toSystemText(system: unknown): string {
  if (typeof system === 'string') return withoutBillingHash(system);
  if (!Array.isArray(system)) return '';
  return system
    .map((block: unknown) => {
      if (!isJsonObject(block) || block['type'] !== 'text' || typeof block['text'] !== 'string') return '';
      return withoutBillingHash(block['text']);
    })
    .join('');
}

/**
 * Claude Code opens its prompt with a line for Anthropic's accounting. The hash in it differs from request to request and
 * would keep the provider from finding the rest of the prompt in its cache.
 */
function withoutBillingHash(text: string): string {
  if (!text.startsWith('x-anthropic-billing-header:')) return text;
  const lineEnd = text.indexOf('\n');
  const end = lineEnd === -1 ? text.length : lineEnd;
  return text.slice(0, end).replaceAll(/ ?\bcch=[^;]*;?/g, '') + text.slice(end);
}

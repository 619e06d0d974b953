const maxBytes = 16_384;

/** As much of a text as is embedded: whole characters within 16,384 bytes of UTF-8. */
export function toQueryText(text: string): string {
  // No character has more than three bytes for each of its UTF-16 units.
  if (text.length * 3 <= maxBytes) return text;
  const { read } = new TextEncoder().encodeInto(text, new Uint8Array(maxBytes));
  return text.slice(0, read);
}

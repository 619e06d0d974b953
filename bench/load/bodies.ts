/** A small chat request, as an application would send it. */
export const smallBody = chatBody([
  { role: 'system', content: 'You are a helpful assistant. Answer in one sentence.' },
  { role: 'user', content: 'What is the capital of France?' },
]);

/** The small chat request, streamed. */
export const streamingBody = JSON.stringify({ ...JSON.parse(smallBody), stream: true });

/**
 * A chat request of about so many bytes: a long conversation in messages of about 1 KB, with the line breaks, quotes
 * and letters beyond ASCII that real ones have.
 */
export function bodyOfSize(bytes: number): string {
  const paragraph = 'He said "no",\nthen paid 3 € – naïvely – for what was worth 2. ';
  const messages: { role: string; content: string }[] = [];
  for (let size = 150; size < bytes; size += 1050) {
    const role = messages.length % 2 === 0 ? 'user' : 'assistant';
    messages.push({ role, content: paragraph.repeat(14) });
  }
  return chatBody(messages);
}

function chatBody(messages: readonly { role: string; content: string }[]): string {
  return JSON.stringify({ model: 'gpt-4o-mini', messages, temperature: 0.7, max_tokens: 256, user: 'bench' });
}

import type { Answer } from './mock-provider.ts';

// Gemini's own protocol: https://ai.google.dev/api/generate-content

const usageMetadata = { promptTokenCount: 8, candidatesTokenCount: 5, totalTokenCount: 13 };

function candidate(parts: readonly object[], finishReason?: string): object {
  return { content: { role: 'model', parts }, index: 0, ...(finishReason !== undefined && { finishReason }) };
}

const call = { functionCall: { name: 'get_weather', args: { city: 'Paris "é"' } } };

/** A whole answer of generateContent: text and a function call. Indented, as Google writes it. */
export const geminiAnswer = JSON.stringify(
  { candidates: [candidate([{ text: 'Héllo 🌊' }, call], 'STOP')], usageMetadata, modelVersion: 'gemini-x' },
  null,
  2,
);

/** The same as server-sent events, ended by CR LF CR LF and without `[DONE]`, as Google writes them. */
export const geminiEvents: readonly string[] = [
  { candidates: [candidate([{ text: 'Hé' }])] },
  { candidates: [candidate([{ text: 'llo 🌊' }])] },
  { candidates: [candidate([call], 'STOP')], usageMetadata },
].map((event) => `data: ${JSON.stringify(event)}\r\n\r\n`);

/** Streams text in pieces that have nothing to do with events. */
export function answerEvents(text: string): Answer {
  return (_request, response) => {
    response.writeHead(200, { 'Content-Type': 'text/event-stream' });
    const bytes = Buffer.from(text);
    for (let at = 0; at < bytes.length; at += 61) response.write(bytes.subarray(at, at + 61));
    response.end();
  };
}

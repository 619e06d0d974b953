import type { Infer } from '../schema/infer.ts';
import { createValidator } from '../schema/validator.ts';

/** The members of a chat completion request that the demo provider acts on. Clients send null for what they leave open. */
const chatRequestSchema = {
  type: 'object',
  required: ['model', 'messages'],
  properties: {
    model: { type: 'string', minLength: 1 },
    messages: {
      type: 'array',
      minItems: 1,
      items: {
        type: 'object',
        required: ['role'],
        properties: {
          role: { type: 'string', enum: ['system', 'developer', 'user', 'assistant', 'tool', 'function'] },
          content: { type: ['string', 'array', 'null'] },
        },
      },
    },
    stream: { type: ['boolean', 'null'] },
    stream_options: { type: ['object', 'null'], properties: { include_usage: { type: ['boolean', 'null'] } } },
    n: { type: ['integer', 'null'], minimum: 1, maximum: 8 },
    max_tokens: { type: ['integer', 'null'], minimum: 1 },
    max_completion_tokens: { type: ['integer', 'null'], minimum: 1 },
    tools: {
      type: ['array', 'null'],
      items: {
        type: 'object',
        required: ['type'],
        properties: {
          type: { type: 'string' },
          function: {
            type: 'object',
            required: ['name'],
            properties: {
              name: { type: 'string', minLength: 1 },
              description: { type: 'string' },
              parameters: { type: 'object' },
            },
          },
        },
      },
    },
    tool_choice: { type: ['string', 'object', 'null'] },
  },
} as const;

/** https://platform.openai.com/docs/api-reference/chat/create */
export type ChatRequest = Infer<typeof chatRequestSchema>;

const validator = createValidator(chatRequestSchema);

/** @returns The request, or one sentence that names what is wrong with it. */
export function parseChatRequest(body: unknown): ChatRequest | string {
  return validator.check(body) ?? (body as ChatRequest);
}

/** The text of a message; images and other parts have none. */
export function textOf(message: ChatRequest['messages'][number]): string {
  const { content } = message;
  if (typeof content === 'string') return content;
  return (content ?? [])
    .map((part) => (typeof part === 'object' && part !== null && 'text' in part ? String(part.text) : ''))
    .join(' ');
}

/** What the user asked last; `''` when no user has spoken. */
export function questionOf({ messages }: ChatRequest): string {
  const message = messages.findLast(({ role }) => role === 'user');
  return message === undefined ? '' : textOf(message);
}

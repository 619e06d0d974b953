import type { JsonObject } from '../json.ts';
import { arrayIn, lastUserTextIn, messagesIn, textsIn, toMessages } from './message-text.ts';
import type { AddedMessage, PromptFormat } from './prompt-format.ts';

/**
 * System messages are blocks of `system`, the others go to `messages`.
 * https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_Converse.html
 */
export const bedrockConversePrompts: PromptFormat = {
  protocol: 'bedrock-converse',
  hasTurns: true,
  messages: (body) => [...toMessages('system', textsIn(body['system'])), ...messagesIn(body)],
  lastUserText: (body) => lastUserTextIn(arrayIn(body, 'messages')),
  prepend: (body, added) => change(body, added, (own, more) => [...more, ...own]),
  append: (body, added) => change(body, added, (own, more) => [...own, ...more]),
};

type Join = (own: readonly unknown[], more: readonly unknown[]) => unknown[];

function change(body: JsonObject, added: readonly AddedMessage[], join: Join): JsonObject {
  const system = added.filter(({ role }) => role === 'system').map(({ content }) => ({ text: content }));
  const turns = added
    .filter(({ role }) => role !== 'system')
    .map(({ role, content }) => ({ role, content: [{ text: content }] }));
  return {
    ...body,
    ...(system.length > 0 && { system: join(arrayIn(body, 'system'), system) }),
    ...(turns.length > 0 && { messages: join(arrayIn(body, 'messages'), turns) }),
  };
}

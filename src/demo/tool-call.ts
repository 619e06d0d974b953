import { isJsonObject, type JsonObject } from '../llm/json.ts';
import { type ChatRequest, questionOf } from './chat-request.ts';

/** A function that the client shall call. */
export interface ToolCall {
  readonly name: string;
  /** JSON text, as in OpenAI's API. */
  readonly arguments: string;
}

type ToolFunction = NonNullable<NonNullable<ChatRequest['tools']>[number]['function']>;

/**
 * Decides whether the answer is a call of one of the request's tools: when `tool_choice` demands it, or when the question
 * has a word in common with a tool's name, such as "weather" with `get_weather`. A question whose tool has been called
 * gets no second call.
 */
export function chooseToolCall(request: ChatRequest): ToolCall | null {
  const functions = (request.tools ?? []).flatMap((tool) => tool.function ?? []);
  const choice = request.tool_choice ?? 'auto';
  const wasCalled = request.messages.at(-1)?.role === 'tool';
  if (choice === 'none' || wasCalled) return null;
  const question = questionOf(request);
  const fitting = functions.find(({ name }) => nameWords(name).some((word) => question.toLowerCase().includes(word)));
  const chosen = choice === 'auto' ? fitting : demanded(choice, functions, fitting);
  if (chosen === undefined) return null;
  return { name: chosen.name, arguments: JSON.stringify(exampleObject(chosen.parameters ?? {}, question)) };
}

function demanded(
  choice: string | JsonObject,
  functions: readonly ToolFunction[],
  fitting: ToolFunction | undefined,
): ToolFunction | undefined {
  if (choice === 'required') return fitting ?? functions[0];
  const named = isJsonObject(choice) && isJsonObject(choice['function']) ? choice['function']['name'] : undefined;
  return functions.find(({ name }) => name === named);
}

/** `getCurrent_weather` -> `current`, `weather`; short words fit everywhere and say nothing. */
function nameWords(name: string): string[] {
  return (name.match(/[A-Z]?[a-z]+/g) ?? []).map((word) => word.toLowerCase()).filter((word) => word.length > 3);
}

function exampleObject(schema: JsonObject, question: string): JsonObject {
  const properties = isJsonObject(schema['properties']) ? schema['properties'] : {};
  return Object.fromEntries(
    Object.entries(properties).map(([name, property]) => [
      name,
      exampleValue(isJsonObject(property) ? property : {}, question),
    ]),
  );
}

function exampleValue(schema: JsonObject, question: string): unknown {
  if (Array.isArray(schema['enum'])) return schema['enum'][0];
  switch (schema['type']) {
    case 'integer':
    case 'number':
      return Number(/\d+/.exec(question)?.[0] ?? 1);
    case 'boolean':
      return true;
    case 'array':
      return [];
    case 'object':
      return exampleObject(schema, question);
    default:
      return placeIn(question);
  }
}

/** `What is the weather in New York today?` -> `New York`. */
function placeIn(question: string): string {
  return /\b(?:in|at|for|of) (\p{Lu}[\p{L}'-]*(?: \p{Lu}[\p{L}'-]*)*)/u.exec(question)?.[1] ?? 'Paris';
}

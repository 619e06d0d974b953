import { WeirError } from '../../../base/errors.ts';
import { isJsonObject, type JsonObject } from '../../json.ts';
import type { ToolNames } from './tool-names.ts';

// Tools that Anthropic itself runs, or whose schema only Anthropic's models know. What follows is a version.
const builtInPrefixes = ['computer_', 'bash_', 'text_editor_', 'web_search', 'code_execution_'] as const;

/**
 * The members `tools`, `tool_choice` and `parallel_tool_calls` of the chat request, each only if there is something to
 * say. Without tools there is no choice among them either: providers refuse it.
 *
 * @returns A WeirError (400, LLM_CONVERSION) that counts from 1, as APISIX does, for a tool without a name.
 */
export function toChatTools(body: JsonObject, toolNames: ToolNames): JsonObject | WeirError {
  const given: readonly unknown[] = Array.isArray(body['tools']) ? body['tools'] : [];
  const tools: JsonObject[] = [];
  const names = new Set<string>();
  for (const [index, tool] of given.entries()) {
    if (isJsonObject(tool) && isBuiltIn(tool)) continue;
    if (!isJsonObject(tool) || typeof tool['name'] !== 'string' || tool['name'] === '') {
      return new WeirError('LLM_CONVERSION', [`invalid tool definition at index ${index + 1}`]);
    }
    names.add(tool['name']);
    tools.push(toChatTool(tool, toolNames.toOpenai(tool['name'])));
  }
  if (tools.length === 0) return {};

  const choice = isJsonObject(body['tool_choice']) ? body['tool_choice'] : {};
  const chosen = toChatToolChoice(choice, names, toolNames);
  return {
    tools,
    ...(chosen !== null && { tool_choice: chosen }),
    ...(choice['disable_parallel_tool_use'] === true && { parallel_tool_calls: false }),
  };
}

/** Beside the known ones: a type of its own and no schema, so that nobody but Anthropic knows how to call it. */
function isBuiltIn(tool: JsonObject): boolean {
  const type = tool['type'];
  if (typeof type !== 'string' || type === 'custom') return false;
  return builtInPrefixes.some((prefix) => type.startsWith(prefix)) || !isJsonObject(tool['input_schema']);
}

function toChatTool(tool: JsonObject, name: string): JsonObject {
  const { description, input_schema: parameters } = tool;
  return {
    type: 'function',
    function: {
      name,
      ...(typeof description === 'string' && { description }),
      ...(isJsonObject(parameters) && { parameters }),
    },
  };
}

function toChatToolChoice(choice: JsonObject, names: ReadonlySet<string>, toolNames: ToolNames): unknown {
  const { type, name } = choice;
  switch (type) {
    case 'auto':
    case 'none':
      return type;
    case 'any':
      return 'required';
    case 'tool':
      // A built-in tool that was left out cannot be chosen.
      if (typeof name !== 'string' || !names.has(name)) return null;
      return { type: 'function', function: { name: toolNames.toOpenai(name) } };
    default:
      return null;
  }
}

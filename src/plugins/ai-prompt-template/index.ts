import { WeirError } from '../../base/errors.ts';
import { isJsonObject, type JsonObject } from '../../llm/json.ts';
import { definePlugin } from '../../pipeline/define-plugin.ts';
import { replaceJsonBody, withJsonBody } from '../../pipeline/json-body.ts';
import { compileTemplate, type FillTemplate } from './fill-template.ts';

const schema = {
  type: 'object',
  properties: {
    templates: {
      type: 'array',
      minItems: 1,
      description:
        'Objects with `name` and `template`; clients choose one by the member `template_name` of their body.',
      items: {
        type: 'object',
        properties: {
          name: { type: 'string', minLength: 1 },
          template: {
            type: 'object',
            properties: {
              model: { type: 'string', minLength: 1 },
              messages: {
                type: 'array',
                minItems: 1,
                items: {
                  type: 'object',
                  properties: {
                    role: { type: 'string', enum: ['system', 'user', 'assistant'] },
                    content: { type: 'string', minLength: 1 },
                  },
                  required: ['role', 'content'],
                },
              },
            },
            additionalProperties: true,
          },
        },
        required: ['name', 'template'],
      },
    },
    max_req_body_size: { type: 'integer', minimum: 1, default: 67108864, description: 'Larger requests get 413.' },
  },
  required: ['templates'],
} as const;

/** Makes requests out of templates, of which clients fill in the variables. */
export const aiPromptTemplate = definePlugin({
  name: 'ai-prompt-template',
  priority: 1071,
  version: 0.1,
  summary: 'Makes requests out of templates, of which clients fill in the variables.',
  schema,
  create({ templates, max_req_body_size: maxBytes }) {
    const byName = new Map<string, FillTemplate>();
    // Of two with one name the first counts, as in APISIX.
    for (const { name, template } of [...templates].reverse()) byName.set(name, compileTemplate(template));
    return {
      rewrite: (ctx) =>
        withJsonBody(ctx, {
          maxBytes,
          run({ json }) {
            replaceJsonBody(ctx, fill(byName, json));
            return undefined;
          },
        }),
    };
  },
});

/** @throws WeirError PROMPT_TEMPLATE_MISSING, PROMPT_TEMPLATE_UNKNOWN, LLM_BODY_SYNTAX. */
function fill(byName: ReadonlyMap<string, FillTemplate>, json: JsonObject): JsonObject {
  const name = json['template_name'];
  if (name === undefined || name === null || name === false) throw new WeirError('PROMPT_TEMPLATE_MISSING');
  const template = typeof name === 'string' ? byName.get(name) : undefined;
  if (template === undefined) {
    const shown = typeof name === 'number' || typeof name === 'string' ? name : `(${typeof name})`;
    throw new WeirError('PROMPT_TEMPLATE_UNKNOWN', [shown]);
  }
  try {
    const filled = template(json);
    return isJsonObject(filled) ? filled : {};
  } catch (cause) {
    if (!(cause instanceof RangeError)) throw cause;
    throw new WeirError('LLM_BODY_SYNTAX', ['it is nested too deeply'], { cause });
  }
}

import { isSecretReference } from '../../config/secret-reference.ts';
import { checkVars } from '../../router/expression.ts';
import type { Infer } from '../../schema/infer.ts';
import { checkHeaderActions } from '../header-actions.ts';
import { findLogVariable } from './answer-variables.ts';
import { compileFilter } from './body-filters.ts';

export const responseRewriteSchema = {
  type: 'object',
  properties: {
    status_code: { type: 'integer', minimum: 200, maximum: 598, description: 'The status of the answer.' },
    body: { type: 'string', description: 'Its body. Not together with `filters`.' },
    body_base64: { type: 'boolean', default: false, description: '`body` is written in base64.' },
    headers: {
      type: 'object',
      description:
        'Changes of the header: `{"add": ["name: value"], "remove": ["name"], "set": {"name": "value"}}`, done in this order, or `{"name": "value"}`, which sets. Values may hold variables. An empty value removes.',
    },
    vars: {
      type: 'array',
      description:
        'Conditions as in `vars` of a route, here with the variables of logs such as `status`. Where they do not hold, the answer stays as it is.',
    },
    filters: {
      type: 'array',
      minItems: 1,
      description: 'What is replaced in the body, in order.',
      items: {
        type: 'object',
        required: ['regex', 'replace'],
        properties: {
          regex: { type: 'string', minLength: 1, description: 'A PCRE pattern.' },
          scope: {
            type: 'string',
            enum: ['once', 'global'],
            default: 'once',
            description: 'Replace the first match, or every one.',
          },
          replace: { type: 'string', description: 'What takes the place of a match, with `$1` and so on.' },
          options: {
            type: 'string',
            default: 'jo',
            description:
              'Letters: `i` (no case), `m` (`^` and `$` at lines), `s` (a dot is also a line break), `u` (UTF-8); `j`, `o`, `a` have no effect.',
          },
        },
      },
    },
  },
  dependencies: {
    body: { not: { required: ['filters'] } },
    filters: { not: { required: ['body'] } },
  },
} as const;

export type ResponseRewriteConf = Infer<typeof responseRewriteSchema>;

/** What the schema cannot say. */
export function checkResponseRewrite(conf: ResponseRewriteConf): string | null {
  const { headers, body = '', body_base64, vars = [], filters = [] } = conf;
  const wrongHeader = headers === undefined ? null : checkHeaderActions(headers);
  if (wrongHeader !== null) return wrongHeader;
  if (body_base64 && !isSecretReference(body) && !isBase64(body)) return 'invalid base64 content';
  const wrongVars = checkVars(vars, { extend: findLogVariable });
  if (wrongVars !== null) return `failed to validate the 'vars' expression: ${wrongVars}`;
  for (const filter of filters) {
    try {
      if (!isSecretReference(filter.regex) && !isSecretReference(filter.replace)) compileFilter(filter);
    } catch (error) {
      return `regex "${filter.regex}" validation failed: ${error instanceof Error ? error.message : String(error)}`;
    }
  }
  return null;
}

function isBase64(text: string): boolean {
  return text !== '' && /^[A-Za-z0-9+/]+={0,2}$/.test(text) && text.length % 4 !== 1;
}

import type { JsonSchema } from '../schema/infer.ts';
import { createValidator } from '../schema/validator.ts';
import { secretManagerKinds } from '../secret-manager/index.ts';
import { defineResource } from './resource.ts';
import { timestampSchema } from './resource-fields.ts';
import {
  checkSecretReferences,
  findSecretReferences,
  isSecretReference,
  parseSecretReference,
} from './secret-reference.ts';

/** What all kinds of secret managers have; the rest is checked by the schema of the kind. */
const secretSchema = {
  type: 'object',
  properties: {
    id: {
      type: 'string',
      description: 'Kind of the manager and a name: `vault/1`.',
      pattern: '^[^/]+/[a-zA-Z0-9-_.]{1,64}$',
    },
    create_time: timestampSchema,
    update_time: timestampSchema,
  },
} as const satisfies JsonSchema;

const validators = new Map(
  Object.entries(secretManagerKinds).map(([name, { schema }]) => [
    name,
    createValidator(schema, { isDeferred: isSecretReference }),
  ]),
);

/** A service that keeps secrets, and how to ask it: `$secret://vault/1/...` asks the one with the id `vault/1`. */
export const secret = defineResource({
  kind: 'secrets',
  name: 'secret',
  schema: secretSchema,
  idSegments: 2,
  unsupportedMethods: ['POST'],
  checkRules(conf) {
    const kind = String(conf['id']).split('/', 1)[0] ?? '';
    const validator = validators.get(kind);
    if (validator === undefined)
      return `invalid secret manager: ${kind}, expected ${[...validators.keys()].join(', ')}`;
    const wrong = validator.check(conf) ?? checkSecretReferences(conf) ?? checkSources(conf);
    return wrong === null ? null : `invalid configuration: ${wrong}`;
  },
});

/** A manager that another one has the token of could lead in a circle. */
function checkSources(conf: unknown): string | null {
  const other = findSecretReferences(conf).find(({ text }) => {
    const parsed = parseSecretReference(text);
    return typeof parsed === 'object' && parsed.source !== 'env';
  });
  return other === undefined ? null : `${other.path}: a secret manager can only refer to $env://`;
}

import { compileIpMatcher } from '../base/ip.ts';
import { isSecretReference } from '../config/secret-reference.ts';
import { definePlugin } from '../pipeline/define-plugin.ts';
import { jsonReply } from '../pipeline/reply.ts';

const addresses = { type: 'array', minItems: 1, items: { type: 'string', minLength: 1 } } as const;

/**
 * Lets clients in, or refuses them, by their address.
 *
 * @see https://apisix.apache.org/docs/apisix/plugins/ip-restriction/
 */
export const ipRestriction = definePlugin({
  name: 'ip-restriction',
  priority: 3000,
  version: 0.1,
  summary: 'Lets clients in, or refuses them, by their IP address.',
  schema: {
    type: 'object',
    properties: {
      whitelist: { ...addresses, description: 'Addresses and ranges (`10.0.0.0/8`) that are let in, and no others.' },
      blacklist: { ...addresses, description: 'Addresses and ranges that are refused.' },
      message: {
        type: 'string',
        minLength: 1,
        maxLength: 1024,
        default: 'Your IP address is not allowed',
        description: 'The body of the refusal becomes `{"message":"..."}` with this text.',
      },
      response_code: { type: 'integer', enum: [403, 404], default: 403, description: 'Status of the refusal.' },
    },
    oneOf: [{ required: ['whitelist'] }, { required: ['blacklist'] }],
  },
  check: ({ whitelist = [], blacklist = [] }) => checkAddresses([...whitelist, ...blacklist]),
  create({ whitelist, blacklist = [], message, response_code }) {
    const isListed = compileIpMatcher(whitelist ?? blacklist);
    const allowsListed = whitelist !== undefined;
    const refused = jsonReply(response_code, { message });
    return {
      access(ctx) {
        if (isListed(ctx.remoteAddress) === allowsListed) return undefined;
        ctx.errorCode = 'IP_NOT_ALLOWED';
        return refused;
      },
    };
  },
});

function checkAddresses(list: readonly string[]): string | null {
  for (const address of list) {
    try {
      if (!isSecretReference(address)) compileIpMatcher([address]);
    } catch {
      return `invalid ip address: ${address}`;
    }
  }
  return null;
}

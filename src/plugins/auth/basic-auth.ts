import { timingSafeEqual } from 'node:crypto';
import type { Credential } from '../../pipeline/consumer.ts';
import { digestOf } from '../../pipeline/credential-index.ts';
import { definePlugin } from '../../pipeline/define-plugin.ts';
import {
  authenticationFields,
  createAuthentication,
  realmField,
  unauthorized,
  type Recognition,
} from './authentication.ts';

const name = 'basic-auth';
const place = { header: 'authorization', argument: null, cookie: null };

interface NameAndPassword {
  readonly username: string;
  readonly password: string;
}

/**
 * Recognizes consumers by name and password, as browsers send them.
 *
 * @see https://apisix.apache.org/docs/apisix/plugins/basic-auth/
 */
export const basicAuth = definePlugin({
  name,
  priority: 2520,
  version: 0.1,
  summary: 'Recognizes consumers by user name and password.',
  schema: {
    type: 'object',
    properties: { ...authenticationFields, realm: realmField('basic') },
  },
  consumerSchema: {
    type: 'object',
    properties: {
      username: {
        type: 'string',
        minLength: 1,
        pattern: '^[^:]+$',
        description: 'User name, without colons. Every consumer has another one.',
      },
      password: { type: 'string', minLength: 1, description: 'The password.' },
    },
    required: ['username', 'password'],
    encrypt_fields: ['password'],
  },
  credentialKey: 'username',
  create(conf, env) {
    return createAuthentication(
      {
        plugin: name,
        scheme: 'Basic',
        conf,
        place,
        recognize(ctx) {
          const header = ctx.header('authorization');
          if (header === undefined) return unauthorized('Missing authorization in request');
          const sent = readHeader(header);
          if (sent === null) return unauthorized('Invalid authorization in request');
          const found = ctx.consumers.find(name, sent.username);
          return found instanceof Promise ? found.then((late) => verify(late, sent)) : verify(found, sent);
        },
        hide: (ctx) => ctx.removeHeader('authorization'),
      },
      env,
    );
  },
});

/** Source: RFC 7617, section 2. Null: it is nothing of the kind. */
function readHeader(header: string): NameAndPassword | null {
  const encoded = /^basic +([A-Za-z0-9+/_-]+={0,2}) *$/i.exec(header)?.[1];
  if (encoded === undefined) return null;
  const decoded = Buffer.from(encoded, 'base64').toString();
  const colon = decoded.indexOf(':');
  return colon === -1 ? null : { username: decoded.slice(0, colon), password: decoded.slice(colon + 1) };
}

/** Takes as long for a user that does not exist as for a wrong password, and says the same. */
function verify(found: Credential | undefined, { password }: NameAndPassword): Recognition {
  const expected = (found?.conf as NameAndPassword | undefined)?.password ?? '';
  const isRight = timingSafeEqual(Buffer.from(digestOf(password)), Buffer.from(digestOf(expected)));
  return found !== undefined && isRight ? found : unauthorized('Invalid user authorization');
}

import { WeirError } from '../../base/errors.ts';
import { RepeatedLog } from '../../base/repeated-log.ts';
import { withoutField } from '../../http/field-list.ts';
import { Fields } from '../../http/fields.ts';
import { consumerHeaderNames } from '../../llm/header-rules.ts';
import type { Consumer, Credential } from '../../pipeline/consumer.ts';
import type { CredentialPlace, RequestContext } from '../../pipeline/context.ts';
import type { PluginEnv, PluginHooks } from '../../pipeline/define-plugin.ts';
import { refusal, type Reply } from '../../pipeline/reply.ts';

/** Fields of every plugin that authenticates. */
export const authenticationFields = {
  hide_credentials: {
    type: 'boolean',
    default: false,
    description: 'true: the credential is taken out of the request, so that the upstream does not get it.',
  },
  anonymous_consumer: {
    type: 'string',
    minLength: 1,
    description: 'Consumer that requests without a valid credential belong to. Not set: they get 401.',
  },
} as const;

/** The field `realm`, which a client is told with a 401. */
export function realmField<const R extends string>(realm: R) {
  return {
    type: 'string',
    minLength: 1,
    maxLength: 128,
    pattern: '^[\\x20-\\x21\\x23-\\x5b\\x5d-\\x7e]+$',
    default: realm,
    description: 'Told in the `WWW-Authenticate` header of a 401.',
  } as const;
}

/** A configuration with {@link authenticationFields} and a realm. */
interface AuthenticationConf {
  readonly hide_credentials: boolean;
  readonly anonymous_consumer?: string;
  readonly realm: string;
}

/** The credential that a request has shown, or why it has none: UNAUTHORIZED. */
export type Recognition = Credential | WeirError;

interface AuthenticationParts {
  /** Name of the plugin. */
  readonly plugin: string;
  /** In `WWW-Authenticate`: `Basic`. */
  readonly scheme: string;
  readonly conf: AuthenticationConf;
  /** What is read there is kept out of logs. */
  readonly place: CredentialPlace;
  recognize(ctx: RequestContext): Recognition | Promise<Recognition>;
  /** Takes the credential out of the request. */
  hide(ctx: RequestContext): void;
}

/** Makes the plugin that finds out who the consumer is, or refuses the request. */
export function createAuthentication(parts: AuthenticationParts, env: PluginEnv): PluginHooks {
  const { place, plugin, conf } = parts;
  const faults = new RepeatedLog(env.log);
  const settle = (ctx: RequestContext, found: Recognition): Reply | undefined => {
    const consumer = found instanceof WeirError ? anonymousConsumer(ctx, found, conf) : found.consumer;
    if (consumer instanceof WeirError) return challenge(ctx, consumer, parts);
    if (consumer === undefined) {
      faults.write('anonymous', {
        level: 'error',
        message: `${plugin}: the anonymous consumer does not exist`,
        fields: { consumer: conf.anonymous_consumer, route_id: ctx.route?.id },
      });
      return challenge(ctx, unauthorized('Invalid user authorization'), parts);
    }
    if (conf.hide_credentials) parts.hide(ctx);
    attachConsumer(ctx, consumer);
    return undefined;
  };
  return {
    credentialPlaces: [place],
    rewrite(ctx) {
      // One whose configuration waits for secrets is not known to the pipeline.
      if (!ctx.credentialPlaces.includes(place)) ctx.credentialPlaces = [...ctx.credentialPlaces, place];
      const found = parts.recognize(ctx);
      return found instanceof Promise ? found.then((late) => settle(ctx, late)) : settle(ctx, found);
    },
  };
}

/** @param message - As APISIX words it. */
export function unauthorized(message: string): WeirError {
  return new WeirError('UNAUTHORIZED', [message]);
}

/** Text of a header value, which comes with one character a byte. */
export function headerText(value: string): string {
  return /[\x80-\xff]/.test(value) ? Buffer.from(value, 'latin1').toString() : value;
}

/** The error, when there is no such consumer to be; undefined, when it is missing. */
function anonymousConsumer(
  ctx: RequestContext,
  error: WeirError,
  { anonymous_consumer: name }: AuthenticationConf,
): Consumer | WeirError | undefined {
  return name === undefined ? error : ctx.consumers.get(name);
}

function challenge(ctx: RequestContext, error: WeirError, { scheme, conf }: AuthenticationParts): Reply {
  const reply = refusal(ctx, error);
  return { ...reply, fields: [...reply.fields, 'WWW-Authenticate', `${scheme} realm="${conf.realm}"`] };
}

function attachConsumer(ctx: RequestContext, consumer: Consumer): void {
  const { flat } = ctx.fields;
  // Another plugin has recognized somebody before: of two, the last counts.
  const unclaimed = ctx.consumer === null ? flat : consumerHeaderNames.reduce<readonly string[]>(withoutField, flat);
  ctx.fields = new Fields([...unclaimed, ...consumer.claims]);
  ctx.consumer = consumer;
}

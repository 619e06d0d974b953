import { withField } from '../../http/field-list.ts';
import { definePlugin } from '../../pipeline/define-plugin.ts';
import { checkHeader } from '../../llm/request-headers.ts';
import { isFramingField } from '../header-actions.ts';
import { createIdSource } from './create-id.ts';

/** As APISIX has it, with its missing J. */
const defaultCharacters = 'abcdefghijklmnopqrstuvwxyzABCDEFGHIGKLMNOPQRSTUVWXYZ0123456789';
const maxCharacters = 256;

/**
 * Gives each request an id, for the upstream, the client and the logs.
 *
 * @see https://apisix.apache.org/docs/apisix/plugins/request-id/
 */
export const requestId = definePlugin({
  name: 'request-id',
  priority: 12015,
  version: 0.1,
  summary: 'Gives each request an id, which the upstream, the client and the logs see.',
  schema: {
    type: 'object',
    properties: {
      header_name: {
        type: 'string',
        minLength: 1,
        default: 'X-Request-Id',
        description: 'The header with the id. A client that sends it has chosen the id itself.',
      },
      include_in_response: { type: 'boolean', default: true, description: 'Tell the client as well.' },
      algorithm: {
        type: 'string',
        enum: ['uuid', 'nanoid', 'range_id', 'ksuid'],
        default: 'uuid',
        description:
          'How ids are made: random (`uuid`; `nanoid`, shorter; `range_id`, of chosen characters), or ordered by time (`ksuid`).',
      },
      range_id: {
        type: 'object',
        properties: {
          length: {
            type: 'integer',
            minimum: 6,
            maximum: 1024,
            default: 16,
            description: 'range_id: how many characters an id has.',
          },
          char_set: {
            type: 'string',
            minLength: 6,
            maxLength: maxCharacters,
            default: defaultCharacters,
            description: 'range_id: out of which characters.',
          },
        },
        default: {},
      },
    },
  },
  check({ header_name, range_id }) {
    if (isFramingField(header_name) || header_name.toLowerCase() === 'host') {
      return `property "header_name" validation failed: ${JSON.stringify(header_name)} has a meaning of its own`;
    }
    const wrong = checkHeader(header_name, range_id.char_set);
    if (wrong === null && /^[\x21-\x7e]+$/.test(range_id.char_set)) return null;
    if (wrong === 'is not a valid header name') return 'property "header_name" validation failed: it ' + wrong;
    return 'property "range_id" validation failed: property "char_set" validation failed: expected visible ASCII characters';
  },
  create(conf) {
    const { header_name, include_in_response } = conf;
    const name = header_name.toLowerCase();
    const createId = createIdSource(conf);
    return {
      rewrite(ctx) {
        const given = ctx.header(name) ?? '';
        if (given === '') {
          ctx.id = createId();
          ctx.setHeader(name, ctx.id);
        } else {
          ctx.id = given;
        }
        return undefined;
      },
      ...(include_in_response && {
        headerFilter(ctx, answer) {
          if ((answer.field(name) ?? '') !== '') return;
          answer.fields = withField(answer.fields, header_name, ctx.fields.getCombined(name) ?? ctx.id);
        },
      }),
    };
  },
});

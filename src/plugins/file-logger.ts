import { definePlugin } from '../pipeline/define-plugin.ts';
import {
  checkLoggerEntry,
  checkLogVars,
  compileLoggerEntry,
  compileLogVars,
  loggerEntryFields,
  loggerMetadataSchema,
} from './logger-entry.ts';

/** Appends an entry about each request of a route to a file. */
export const fileLogger = definePlugin({
  name: 'file-logger',
  priority: 399,
  version: 0.1,
  summary: 'Appends a line of JSON about each request to a file.',
  isLogger: true,
  schema: {
    type: 'object',
    properties: {
      path: {
        type: 'string',
        minLength: 1,
        description:
          'The file; a relative path lies in the folder of the gateway. Made with the first entry, for its owner only.',
      },
      ...loggerEntryFields,
      match: {
        type: 'array',
        minItems: 1,
        items: { type: 'array' },
        description: 'Only requests are logged for which this vars expression holds.',
      },
    },
    required: ['path'],
  },
  metadataSchema: loggerMetadataSchema,
  check: (conf) => checkLogVars('match', conf.match) ?? checkLoggerEntry(conf),
  responseCaptureBytes: (conf) => (conf.include_resp_body ? conf.max_resp_body_bytes : 0),
  create(conf, env) {
    const file = env.logFiles.get(conf.path);
    const entryOf = compileLoggerEntry(conf, env);
    const filter = compileLogVars(conf.match);
    return {
      log: (ctx) => {
        if (filter.matches(ctx)) file.write(entryOf(ctx));
      },
    };
  },
});

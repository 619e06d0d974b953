import { longestTimerMs } from '../base/longest-timer.ts';
import { productToken } from '../base/version.ts';
import { isSecretReference } from '../config/secret-reference.ts';
import { postBody, type HttpPostTarget } from '../observability/http-post.ts';
import { redactUri } from '../observability/redact-uri.ts';
import { definePlugin } from '../pipeline/define-plugin.ts';
import { checkLoggerEntry, compileLoggerEntry, loggerEntryFields, loggerMetadataSchema } from './logger-entry.ts';

/** @param seconds - The unit of times in this plugin's configuration. */
function toTimerMs(seconds: number): number {
  return Math.min(seconds * 1000, longestTimerMs);
}

/** Posts entries about the requests of a route to a server, in batches. */
export const httpLogger = definePlugin({
  name: 'http-logger',
  priority: 410,
  version: 0.1,
  summary: 'Posts entries about requests as JSON to an HTTP server, in batches.',
  isLogger: true,
  schema: {
    type: 'object',
    properties: {
      uri: {
        type: 'string',
        minLength: 1,
        description: 'Where entries are posted: http(s)://host[:port][/path][?query].',
      },
      auth_header: { type: 'string', description: 'Value of the header Authorization.' },
      timeout: { type: 'integer', minimum: 1, default: 3, description: 'Seconds for one attempt.' },
      ...loggerEntryFields,
      concat_method: {
        type: 'string',
        enum: ['json', 'new_line'],
        default: 'json',
        description:
          'How a batch is written: one JSON array (with a batch_max_size of 1 a single object), or a line for each entry.',
      },
      ssl_verify: { type: 'boolean', default: false, description: 'Verify the certificate of the server.' },
      name: { type: 'string', default: 'http logger', description: "What the gateway's log calls this logger." },
      batch_max_size: {
        type: 'integer',
        minimum: 1,
        default: 1000,
        description: 'As soon as so many entries wait they are sent.',
      },
      inactive_timeout: {
        type: 'integer',
        minimum: 1,
        default: 5,
        description: 'Entries are sent when there was no further one for so many seconds.',
      },
      buffer_duration: {
        type: 'integer',
        minimum: 1,
        default: 60,
        description: 'Entries are sent when the oldest has waited for so many seconds.',
      },
      max_retry_count: {
        type: 'integer',
        minimum: 0,
        default: 0,
        description: 'Further attempts; then a batch is dropped.',
      },
      retry_delay: { type: 'integer', minimum: 0, default: 1, description: 'Seconds between attempts.' },
      max_pending_entries: {
        type: 'integer',
        minimum: 1,
        default: 8192,
        description:
          'Entries that may wait in a worker. Beyond that the oldest are dropped and counted in the log of the gateway.',
      },
    },
    required: ['uri'],
    encrypt_fields: ['auth_header'],
  },
  metadataSchema: loggerMetadataSchema,
  check: (conf) => checkUri(conf.uri) ?? checkAuthHeader(conf.auth_header) ?? checkLoggerEntry(conf),
  responseCaptureBytes: (conf) => (conf.include_resp_body ? conf.max_resp_body_bytes : 0),
  create(conf, env) {
    const target: HttpPostTarget = {
      url: new URL(conf.uri),
      headers: {
        'User-Agent': productToken,
        'Content-Type': conf.concat_method === 'json' ? 'application/json' : 'text/plain',
        ...(conf.auth_header !== undefined && { Authorization: conf.auth_header }),
      },
      verifyTls: conf.ssl_verify,
    };
    const encode = encoder(conf.concat_method, conf.batch_max_size);
    const queue = env.batchQueues.create({
      facts: { logger: conf.name, uri: redactUri(conf.uri) },
      maxBatchEntries: conf.batch_max_size,
      maxPendingEntries: conf.max_pending_entries,
      bufferDurationMs: toTimerMs(conf.buffer_duration),
      inactiveTimeoutMs: toTimerMs(conf.inactive_timeout),
      attemptTimeoutMs: toTimerMs(conf.timeout),
      maxRetries: conf.max_retry_count,
      retryDelayMs: toTimerMs(conf.retry_delay),
      deliver: (entries, signal) => postBody(target, encode(entries), signal),
    });
    const entryOf = compileLoggerEntry(conf, env);
    return {
      log: (ctx) => queue.push(entryOf(ctx)),
    };
  },
});

/** Entries are JSON already. A logger that sends each by itself sends objects, not arrays of one, as APISIX does. */
function encoder(method: 'json' | 'new_line', batchMaxSize: number): (entries: readonly string[]) => string {
  if (method === 'new_line' || batchMaxSize === 1) return (entries) => entries.join('\n');
  return (entries) => `[${entries.join(',')}]`;
}

function checkUri(uri: string): string | null {
  if (isSecretReference(uri)) return null;
  const url = URL.parse(uri);
  if (url !== null && (url.protocol === 'http:' || url.protocol === 'https:')) return null;
  return 'property "uri" validation failed: expected a URL such as https://logs.example.com/path';
}

/** The value itself is a credential and not repeated. */
function checkAuthHeader(value: string | undefined): string | null {
  if (value === undefined || !/[^\t\x20-\x7e\x80-\xff]/.test(value)) return null;
  return 'property "auth_header" validation failed: expected the value of a header, without control characters';
}

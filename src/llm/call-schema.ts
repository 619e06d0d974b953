/**
 * JSON Schemas of the fields that all LLM calls of a route share: logging, limits, connections. Times are in ms, sizes in
 * bytes.
 */
export const callFields = {
  logging: {
    type: 'object',
    properties: {
      summaries: { type: 'boolean', default: false, description: 'Log model, duration and tokens of each request.' },
      payloads: { type: 'boolean', default: false, description: 'Log what was asked and what was answered.' },
    },
  },
  timeout: {
    type: 'integer',
    minimum: 1,
    maximum: 600000,
    default: 30000,
    description: 'For connecting, for sending, and for each read of the answer; not for all of it together.',
  },
  max_req_body_size: { type: 'integer', minimum: 1, default: 67108864, description: 'Larger requests get 413.' },
  max_stream_duration_ms: {
    type: 'integer',
    minimum: 1,
    description: 'A streamed answer is ended then. Not set: no limit.',
  },
  max_response_bytes: {
    type: 'integer',
    minimum: 1,
    description: 'A longer answer is refused or, once it has begun, ended. Not set: no limit.',
  },
  keepalive: { type: 'boolean', default: true, description: 'Keep connections to the provider for later requests.' },
  keepalive_timeout: { type: 'integer', minimum: 1000, default: 60000, description: 'Idle connections close then.' },
  keepalive_pool: {
    type: 'integer',
    minimum: 1,
    default: 30,
    description: 'Idle connections that a worker keeps for this origin.',
  },
  streaming_flush_interval_ms: {
    type: 'integer',
    minimum: 0,
    description:
      'Gather the pieces of a streamed answer for so long before they are sent. Not set, or 0: each piece is sent as it comes.',
  },
  ssl_verify: { type: 'boolean', default: true, description: "Verify the provider's certificate." },
} as const;

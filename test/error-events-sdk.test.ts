import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { after, before, describe, test } from 'node:test';
import Anthropic, * as anthropicSdk from '@anthropic-ai/sdk';
import OpenAI, * as openaiSdk from 'openai';
import { WeirError } from '../src/base/errors.ts';
import { encodeSse } from '../src/llm/framing/sse.ts';
import { anthropicMessages } from '../src/llm/protocols/anthropic-messages.ts';
import { openaiChat } from '../src/llm/protocols/openai-chat.ts';
import { openaiResponses } from '../src/llm/protocols/openai-responses.ts';

// What the gateway writes when a stream is cut, as the official clients read it. No gateway here: the bytes alone.

const cut = new WeirError('UPSTREAM_RESET', ['192.0.2.1:443']);
const refused = new WeirError('UPSTREAM_CONNECT', ['192.0.2.1:443: refused']);

let server: Server;
let url: string;
let answer: { readonly status: number; readonly type: string; readonly body: string };

before(async () => {
  server = createServer((req, res) => {
    req.resume();
    res.writeHead(answer.status, { 'Content-Type': answer.type }).end(answer.body);
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
});

after(() => {
  server.closeAllConnections();
  server.close();
});

function stream(events: readonly (object & { type?: string })[], tail: Buffer): typeof answer {
  const begun = events.map((event) => encodeSse({ event: event.type ?? 'message', data: JSON.stringify(event) }));
  return { status: 200, type: 'text/event-stream', body: begun.join('') + tail.toString() };
}

/** Reads to the end, which must be an error; `seen` has what came before. */
async function failureOf<T>(events: AsyncIterable<T>): Promise<{ seen: T[]; error: unknown }> {
  const seen: T[] = [];
  try {
    for await (const event of events) seen.push(event);
  } catch (error) {
    return { seen, error };
  }
  assert.fail('the client took the stream for complete');
}

async function failure(asking: Promise<unknown>): Promise<unknown> {
  return asking.then(
    () => assert.fail('the client took it for an answer'),
    (error: unknown) => error,
  );
}

describe('the official Anthropic client', { timeout: 120_000 }, () => {
  const ask = { model: 'm', max_tokens: 9, messages: [{ role: 'user' as const, content: 'x' }] };
  const start = {
    type: 'message_start',
    message: {
      id: 'msg_1',
      type: 'message',
      role: 'assistant',
      model: 'm',
      content: [],
      stop_reason: null,
      usage: { input_tokens: 1, output_tokens: 1 },
    },
  };
  const block = { type: 'content_block_start', index: 0, content_block: { type: 'text', text: '' } };
  const delta = { type: 'content_block_delta', index: 0, delta: { type: 'text_delta', text: 'Hi' } };

  function client(): Anthropic {
    return new Anthropic({ baseURL: url, apiKey: 'k', authToken: null, maxRetries: 0, logLevel: 'off' });
  }

  function assertCut(error: unknown): void {
    assert.ok(error instanceof anthropicSdk.APIError, String(error));
    assert.deepEqual([error.type, error.apiMessage, error.errorCode], ['api_error', cut.message, 'UPSTREAM_RESET']);
  }

  test('raises the error event of a cut stream', async () => {
    answer = stream([start, block, delta], anthropicMessages.renderErrorEvent(cut));
    const { seen, error } = await failureOf(await client().messages.create({ ...ask, stream: true }));
    assert.deepEqual(
      seen.map(({ type }) => type),
      ['message_start', 'content_block_start', 'content_block_delta'],
    );
    assertCut(error);
  });

  test('raises it from its accumulating stream too', async () => {
    answer = stream([start, block, delta], anthropicMessages.renderErrorEvent(cut));
    assertCut(await failure(client().messages.stream(ask).finalMessage()));
  });

  test('raises a whole error as the class of its status', async () => {
    const { contentType, body } = anthropicMessages.renderError(refused);
    answer = { status: refused.status, type: contentType, body };
    const error = await failure(client().messages.create(ask));
    assert.ok(error instanceof anthropicSdk.InternalServerError, String(error));
    assert.deepEqual([error.status, error.type, error.errorCode], [502, 'api_error', 'UPSTREAM_CONNECT']);
    assert.equal(error.apiMessage, refused.message);
  });
});

describe('the official OpenAI client', { timeout: 120_000 }, () => {
  const response = { id: 'resp_1', object: 'response', status: 'in_progress', output: [], usage: null };
  const created = { type: 'response.created', sequence_number: 0, response };

  function client(): OpenAI {
    return new OpenAI({ baseURL: `${url}/v1`, apiKey: 'k', maxRetries: 0, logLevel: 'off' });
  }

  function assertCut(error: unknown): void {
    assert.ok(error instanceof openaiSdk.APIError, String(error));
    assert.deepEqual([error.code, error.param, error.message], ['UPSTREAM_RESET', null, cut.message]);
  }

  test('raises the error event of a cut stream of responses', async () => {
    answer = stream([created], openaiResponses.renderErrorEvent(cut, 1));
    const { seen, error } = await failureOf(await client().responses.create({ model: 'm', input: 'x', stream: true }));
    assert.deepEqual(
      seen.map(({ type }) => type),
      ['response.created'],
    );
    assertCut(error);
    assert.equal((error as { error?: { sequence_number?: number } }).error?.sequence_number, 1);
  });

  test('raises it from its accumulating stream too', async () => {
    answer = stream([created], openaiResponses.renderErrorEvent(cut, 1));
    assertCut(await failure(client().responses.stream({ model: 'm', input: 'x' }).finalResponse()));
  });

  test('raises the error event of a cut stream of chat', async () => {
    const chunk = { id: 'c', object: 'chat.completion.chunk', choices: [{ index: 0, delta: { content: 'Hi' } }] };
    answer = stream([chunk], openaiChat.renderErrorEvent(cut));
    const ask = { model: 'm', messages: [{ role: 'user' as const, content: 'x' }], stream: true as const };
    const { seen, error } = await failureOf(await client().chat.completions.create(ask));
    assert.equal(seen.length, 1);
    assertCut(error);
  });

  test('raises a whole error of responses as the class of its status', async () => {
    const { contentType, body } = openaiResponses.renderError(refused);
    answer = { status: refused.status, type: contentType, body };
    const error = await failure(client().responses.create({ model: 'm', input: 'x' }));
    assert.ok(error instanceof openaiSdk.InternalServerError, String(error));
    assert.deepEqual([error.status, error.code, error.type], [502, 'UPSTREAM_CONNECT', 'server_error']);
  });
});

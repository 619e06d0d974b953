import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { errorText } from './error-text.ts';

const rows: { name: string; event?: string; data: unknown; text: string }[] = [
  { name: 'OpenAI', data: { error: { message: 'm', type: 't', param: null, code: 'c' } }, text: 'c: m' },
  { name: 'OpenAI without code', data: { error: { message: 'm', type: 't', code: null } }, text: 't: m' },
  { name: 'a number for a code', data: { error: { message: 'm', code: 502 } }, text: '502: m' },
  { name: 'Anthropic', event: 'error', data: { type: 'error', error: { type: 't', message: 'm' } }, text: 't: m' },
  {
    name: 'the event error of Responses',
    event: 'error',
    data: { type: 'error', code: 'c', message: 'm' },
    text: 'c: m',
  },
  {
    name: 'the same without code',
    event: 'error',
    data: { type: 'error', code: null, message: 'm' },
    text: 'error: m',
  },
  {
    name: 'response.failed',
    event: 'response.failed',
    data: { type: 'response.failed', response: { error: { code: 'c', message: 'm' } } },
    text: 'c: m',
  },
  {
    name: 'response.failed that tells no error',
    event: 'response.failed',
    data: { type: 'response.failed', response: { error: null } },
    text: 'response.failed',
  },
  {
    name: 'an exception of AWS',
    event: 'throttlingException',
    data: { message: 'm' },
    text: 'throttlingException: m',
  },
  { name: 'an error as a word', data: { error: 'gone' }, text: 'gone' },
  { name: 'a message alone', data: { error: { message: 'm' } }, text: 'm' },
  { name: 'a code alone', data: { error: { code: 'c' } }, text: 'c' },
  { name: 'data that is no JSON', event: 'error', data: 'out of order', text: 'out of order' },
  { name: 'values of other types', data: { error: { message: [1], code: { a: 1 }, type: true } }, text: '' },
  { name: 'an error that is a list', event: 'x', data: { error: ['a', 'b'] }, text: 'a,b' },
];

describe('what an error event says', () => {
  for (const { name, event = 'message', data, text } of rows) {
    it(name, () => {
      assert.equal(errorText({ event, data: typeof data === 'string' ? data : JSON.stringify(data) }), text);
    });
  }

  it('is at most 200 characters long', () => {
    const message = 'm'.repeat(500);
    assert.equal(errorText({ event: 'message', data: JSON.stringify({ error: { code: 'c', message } }) }).length, 200);
    assert.equal(errorText({ event: 'message', data: message }).length, 200);
  });
});

import assert from 'node:assert/strict';
import { it } from 'node:test';
import { converters, findConverter } from './index.ts';

it('finds a converter to a protocol that the provider speaks', () => {
  const found = findConverter('anthropic-messages', { 'openai-embeddings': {}, 'openai-chat': {} });
  assert.equal(found?.to, 'openai-chat');
});

it('finds none where the provider lacks the target, and none for clients that nobody converts for', () => {
  assert.equal(findConverter('anthropic-messages', { 'bedrock-converse': {} }), null);
  assert.equal(findConverter('openai-chat', { 'anthropic-messages': {} }), null);
  assert.equal(findConverter('anthropic-messages', {}), null);
});

it('there is one converter a pair of protocols', () => {
  const pairs = converters.map(({ from, to }) => `${from} -> ${to}`);
  assert.equal(new Set(pairs).size, pairs.length);
});

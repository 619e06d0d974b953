import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { readEnvironment } from './environment-secret.ts';
import type { SecretState } from './secret.ts';

const canary = 'sk-canary-0123456789';
const environment = {
  KEY: canary,
  EMPTY: '',
  KEYS: JSON.stringify({ openai: canary, port: 8, on: true, empty: '', nested: {}, 'a/b': 'slash' }),
  LIST: JSON.stringify([canary]),
  BROKEN: `{"openai":"${canary}"`,
  SCALAR: '5',
};

describe('a reference to the environment', () => {
  const noText = { failure: 'the JSON in the environment variable has no text under this key' };
  const noJson = { failure: 'the environment variable does not hold JSON' };
  const rows: readonly [about: string, variable: string, member: string | null, expected: SecretState][] = [
    ['gives the variable', 'KEY', null, { value: canary }],
    ['gives JSON as text when no member is asked for', 'LIST', null, { value: environment.LIST }],
    ['gives a member', 'KEYS', 'openai', { value: canary }],
    ['gives a member whose name has a slash', 'KEYS', 'a/b', { value: 'slash' }],
    ['gives a number as text', 'KEYS', 'port', { value: '8' }],
    ['gives a boolean as text', 'KEYS', 'on', { value: 'true' }],
    ['fails for a variable that is not set', 'NO', null, { failure: 'the environment variable is not set' }],
    ['fails for what every object has', 'toString', null, { failure: 'the environment variable is not set' }],
    ['fails for an empty variable', 'EMPTY', null, { failure: 'the environment variable is empty' }],
    ['fails for a member that is not there', 'KEYS', 'deepseek', noText],
    ['fails for a member that every object has', 'KEYS', 'constructor', noText],
    ['fails for an empty member', 'KEYS', 'empty', noText],
    ['fails for a member that is an object', 'KEYS', 'nested', noText],
    ['fails for a member of a number', 'SCALAR', 'openai', noText],
    ['fails for a member of what is no JSON, without a word of it', 'BROKEN', 'openai', noJson],
  ];
  for (const [about, variable, member, expected] of rows) {
    it(about, () => assert.deepEqual(readEnvironment({ source: 'env', variable, member }, environment), expected));
  }
});

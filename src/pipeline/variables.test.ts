import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { AttemptRecord, RequestContext } from './context.ts';
import { resolveLogVariable } from './variables.ts';

for (const [names, logged] of [
  [['one'], 'one'],
  [['é'], 'é'],
  [['é', '😀'], 'é, 😀'],
] as const) {
  test(`instances named ${names.join(' and ')} are logged as the bytes of UTF-8`, () => {
    const attempts = names.map((target) => ({ target }) as AttemptRecord);
    const value = resolveLogVariable('upstream_instance')?.({ attempts } as unknown as RequestContext);
    assert.equal(Buffer.from(String(value), 'latin1').toString('utf8'), logged);
  });
}

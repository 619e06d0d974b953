import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Deadlines } from '../http/deadlines.ts';
import { Pools } from '../upstream/pool.ts';
import { createNodePools } from './node-pools.ts';

const connector = { connect: () => () => {} };

test('the pool of a name that other names have pushed out is made anew', () => {
  const pools = new Pools({ connector, deadlines: new Deadlines() });
  const origin = { scheme: 'https', host: '127.0.0.1', port: 443 } as const;
  const [quiet, busy] = [443, 8443].map((port) =>
    createNodePools(pools, { origin: { ...origin, port }, verifyTls: true }),
  );
  const before = quiet?.('api.example');
  assert.equal(quiet?.('api.example'), before);
  for (let i = 0; i < 2000; i++) busy?.(`made-up-${i}.example`);
  const after = quiet?.('api.example');
  assert.equal(before?.closed, true);
  assert.equal(after?.closed, false);
  assert.equal(quiet?.('api.example'), after);
});

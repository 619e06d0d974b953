import assert from 'node:assert/strict';
import { test } from 'node:test';
import { silentLog } from '../base/log.ts';
import { Deadlines } from '../http/deadlines.ts';
import { createSharedRegion, SharedMemory } from '../shared-memory/shared-memory.ts';
import { alwaysHealthy } from '../upstream/health/target-health.ts';
import { Pools } from '../upstream/pool.ts';
import { compileUpstream } from './compile-upstream.ts';

test('what thousands of routes share of an upstream is made once, and anew when the upstream is changed', () => {
  const pools = new Pools({ connector: { connect: () => () => {} }, deadlines: new Deadlines() });
  const shared = new SharedMemory(createSharedRegion({ counterBytes: 0, cellSlots: 64 }));
  let opened = 0;
  const { cells } = shared;
  const counting = Object.assign(Object.create(shared) as SharedMemory, {
    cells: { open: (name: string) => (opened++, cells.open(name)) },
  });
  const env = { pools, shared: counting, health: { of: () => alwaysHealthy }, log: silentLog };
  const compile = (conf: object): void =>
    void compileUpstream(conf, { owner: 'upstreams/1', allowsWebSocket: false, env });

  const conf = { nodes: { 'a.example:80': 3, 'b.example:80': 2 } };
  compile(conf);
  assert.ok(opened > 0);
  const once = opened;
  for (let route = 0; route < 100; route++) compile(conf);
  assert.equal(opened, once);
  compile({ ...conf });
  assert.equal(opened, 2 * once);
});

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { silentLog } from '../../base/log.ts';
import { warnOfDifferentLimits } from './group.ts';
import type { LimitCountConf } from './schema.ts';

/** Configures routes of groups. Notes which routes a warning is about. */
class Routes {
  readonly warnings: unknown[] = [];
  readonly #users = new Map<string, object>();

  put(owner: string, group: string, count: number): void {
    const user = {};
    this.#users.set(owner, user);
    const conf = { count, time_window: 60 } as LimitCountConf;
    const warn = (_message: string, fields?: { readonly routes?: unknown }): void => {
      this.warnings.push(fields?.routes);
    };
    warnOfDifferentLimits(group, { owner, conf, user }, { ...silentLog, warn });
  }

  delete(owner: string): void {
    this.#users.delete(owner);
  }
}

test('every route of a group is compared with all others, whichever was configured last', () => {
  const routes = new Routes();
  for (const owner of ['routes/1', 'routes/2', 'routes/3']) routes.put(owner, 'all', 5);
  assert.deepEqual(routes.warnings.splice(0), []);
  routes.put('routes/2', 'all', 7);
  assert.deepEqual(routes.warnings.splice(0), [['routes/1', 'routes/3', 'routes/2']]);
  routes.put('routes/2', 'all', 7);
  assert.deepEqual(routes.warnings.splice(0), [['routes/1', 'routes/3', 'routes/2']], 'not with itself');
  routes.put('routes/3', 'all', 5);
  assert.deepEqual(routes.warnings.splice(0), [['routes/2', 'routes/3']]);
  routes.put('routes/2', 'all', 5);
  assert.deepEqual(routes.warnings, []);
});

test('a route that has left a group is not compared any more', async () => {
  const routes = new Routes();
  routes.put('routes/1', 'old', 5);
  routes.put('routes/1', 'new', 5);
  routes.put('routes/2', 'old', 6);
  routes.delete('routes/2');
  setFlagsFromString('--expose-gc');
  const collect = runInNewContext('gc') as () => void;
  // What was asked of a WeakRef is kept until the turn ends.
  await new Promise(setImmediate);
  collect();
  routes.put('routes/3', 'old', 7);
  assert.deepEqual(routes.warnings, []);
});

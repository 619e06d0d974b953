import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import type { LoggedCall } from '../support/ai-stage.ts';
import { eventually } from '../support/gateway.ts';
import { fieldOf } from '../support/mock-provider.ts';
import { Soak, soakLanes, soakMs, type Done } from './soak.ts';
import { piecesFor } from './soak-provider.ts';

// Thousands of requests through three providers that fail in every way at random. Each gets exactly one answer that is
// true, each has its line in the log, and nothing is left of them.
//
// WEIR_SOAK_SEED: the seed of an earlier run. WEIR_SOAK_SECONDS: how long each of the runs takes.

/** Code that the engine compiles late and caches that fill up, but no request: they are a few bytes in thousands. */
const maxHeapGrowthBytes = 2 * 1024 * 1024;

/** What the client got is true by its own words and by those of the log. */
function expectTruth({ request, left, status, complete, verdict }: Done, logged: LoggedCall): void {
  if (left) return assert.ok(Number(logged.status) >= 200, logged.status);
  assert.equal(logged.status, String(status));
  assert.ok(complete, 'cut without a word');
  const whole = piecesFor(request.id).join('');
  switch (verdict.kind) {
    case 'answer':
      assert.equal(verdict.text, whole, "another's answer, or a part of it");
      return;
    case 'error':
      assert.ok(whole.startsWith(verdict.text));
      // A code is the gateway's own, and the log has the same.
      if (verdict.code !== '') assert.equal(logged.weir_error, verdict.code);
      return;
    case 'unfinished':
      // An error in words of its own, or a stream that the provider ended without an end.
      if (status === 200) assert.equal(logged.weir_error, 'UPSTREAM_INCOMPLETE_STREAM');
      else assert.ok(status >= 400);
  }
}

/** The attempts in the log are the calls that the providers saw, and those that the closed port refused. */
function expectAttempts(soak: Soak, { request, left }: Done, logged: LoggedCall): void {
  const { seen, stale } = soak.providers.tallies.get(request.id) ?? { seen: 0, stale: 0 };
  const addresses = logged.upstream_addr.split(', ');
  const statuses = logged.upstream_status.split(', ');
  assert.equal(statuses.length, addresses.length);
  const refused = addresses.filter((address) => soak.refusing.url.endsWith(address)).length;
  assert.equal(statuses.slice(0, refused).join(''), '-'.repeat(refused));
  const attempts = addresses.length - refused;
  // One that left took its request along, perhaps before the provider had it; likewise an attempt whose time was over
  // before a busy provider had read it.
  const timedOut = statuses.filter((status) => status === '504').length;
  const cut = left ? 1 : 0;
  const unseen = cut + timedOut;
  assert.ok(
    seen - stale <= attempts + cut && attempts <= seen + unseen,
    `${attempts} attempts, ${seen} calls, ${stale} stale`,
  );
  if (stale === 0 && unseen === 0) assert.equal(attempts, seen);
}

function expectAll(
  soak: Soak,
  lines: ReadonlyMap<string, LoggedCall>,
  check: (done: Done, logged: LoggedCall | undefined) => void,
): void {
  for (const done of soak.done) {
    const logged = lines.get(done.request.id);
    try {
      check(done, logged);
    } catch (cause) {
      const { request, status, excerpt } = done;
      const facts = {
        id: request.id,
        dialect: request.dialect.name,
        stream: request.stream,
        tally: soak.providers.tallies.get(request.id),
        logged,
      };
      throw new Error(`${JSON.stringify(facts)}\n${status} ${excerpt}`, { cause });
    }
  }
}

function strictly(soak: Soak): (done: Done, logged: LoggedCall | undefined) => void {
  return (done, logged) => {
    assert.ok(logged !== undefined, 'no line');
    expectTruth(done, logged);
    expectAttempts(soak, done, logged);
  };
}

describe('a soak of mixed faults', { timeout: 120_000 + 4 * soakMs }, () => {
  test('every request has one true answer and one line, and leaves nothing behind', async (t) => {
    await using soak = await Soak.start(t);
    await soak.run(600);
    const before = await soak.measure();
    await soak.run(1200);
    expectAll(soak, await soak.lines(), strictly(soak));
    await soak.expectNothingLeft();
    for (const { threadId, heapBytes } of await soak.measure()) {
      const growth = heapBytes - (before.find((state) => state.threadId === threadId)?.heapBytes ?? Number.NaN);
      t.diagnostic(`thread ${threadId}: ${growth} bytes more after ${soak.done.length} requests`);
      assert.ok(growth < maxHeapGrowthBytes, `thread ${threadId} holds ${growth} bytes more`);
    }
    assert.doesNotMatch(soak.lab.stage.gateway.errorLog(), /\[error\]/);
  });

  test('the same while the routes change every 50 ms, and no request is of two configurations', async (t) => {
    await using soak = await Soak.start(t);
    const models = new Set<string>();
    const mixed: string[] = [];
    soak.watch = (request) => {
      const { model } = JSON.parse(request.body.toString()) as { model: string };
      models.add(model);
      if (fieldOf(request, 'x-model') !== model) mixed.push(`${fieldOf(request, 'x-model')} ${model}`);
    };
    const end = new AbortController();
    const change = async (): Promise<void> => {
      for (let version = 1; !end.signal.aborted; version++) {
        for (const [dialect, [url = '']] of soak.urls) {
          const id = new URL(url).pathname.split('/')[1] ?? '';
          const plugins = soak.plugins(dialect, { refuses: false, model: `v${version}` });
          await soak.lab.stage.gateway.putRoute(id, { uri: `/${id}/*`, plugins });
        }
        await sleep(50);
      }
    };
    const changes = change();
    await soak.run(500);
    end.abort();
    await changes;
    expectAll(soak, await soak.lines(), strictly(soak));
    assert.deepEqual(mixed, []);
    assert.ok(models.size > 2, `only ${models.size} configurations were used`);
    await soak.expectNothingLeft();
  });

  test('the same while workers die: only their own requests are cut', async (t) => {
    await using soak = await Soak.start(t);
    const killed: number[] = [];
    const killSome = async (): Promise<void> => {
      for (const after of [150, 300]) {
        await eventually(() => soak.done.length >= after, 30_000);
        const [state] = (await soak.measure()).filter(({ threadId }) => !killed.includes(threadId));
        assert.ok(state !== undefined);
        killed.push(state.threadId);
        await soak.kill(state.threadId);
      }
    };
    await Promise.all([soak.run(500), killSome()]);
    const isCut = ({ left, complete }: Done): boolean => !left && !complete;
    // A line is on its way to the file for a moment after its answer has left.
    const mostLost = soakLanes * killed.length;
    const lines = await soak.lines(mostLost);
    let lost = 0;
    expectAll(soak, lines, (done, logged) => {
      if (logged === undefined) lost++;
      else if (!isCut(done)) strictly(soak)(done, logged);
    });
    const cut = soak.done.filter(isCut).length;
    t.diagnostic(`${cut} requests were cut, ${lost} have no line`);
    assert.ok(cut > 0 && cut <= mostLost, `${cut} requests were cut`);
    assert.ok(lost <= mostLost);
    await soak.expectNothingLeft();
    const ended = soak.lab.stage.gateway
      .errorLog()
      .split('\n')
      .filter((line) => line.includes('[error]'));
    assert.equal(ended.length, killed.length, ended.join('\n'));
  });
});

import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { eventually } from '../support/gateway.ts';
import type { CallResult } from '../support/http-call.ts';
import { fieldOf } from '../support/mock-provider.ts';
import { serverCertificate, type CertificateFixture } from '../support/tls-fixtures.ts';
import { dialects, everyMode, type Dialect } from './dialects.ts';
import {
  expectError,
  expectErrorAnswer,
  expectGoodAnswer,
  expectLine,
  expectOutcome,
  expectReuse,
} from './expectations.ts';
import { send, startFaultProvider, stopAfter, type Fault } from './fault-provider.ts';
import { errorAnswer, errorBodies, faultyAnswers, goodAnswer, stallTimeoutMs, type FaultyAnswer } from './faults.ts';
import { ask, inLanes, providerAt, startLab, type FaultLab } from './lab.ts';
import { badPlaces } from './places.ts';
import { expectStopped, joints, type StoppedAnswer } from './stopped-answer.ts';

// Every fault of one provider, behind ai-proxy: what the client sees, what the log says, what becomes of the connection.

let lab: FaultLab;
before(async () => {
  lab = await startLab();
});
after(() => lab[Symbol.asyncDispose]());

function route(url: string, dialect: Dialect, conf: object = {}): Promise<string> {
  return lab.route(dialect, { 'ai-proxy': { ...providerAt(url, dialect), ...conf } });
}

describe('an answer that stops', { timeout: 120_000 }, () => {
  for (const { dialect, mode, stream } of everyMode) {
    const wire = goodAnswer(dialect, stream);
    for (const stop of ['close', 'reset'] as const) {
      const step = stop === 'close' && dialect === dialects[0] ? 1 : 7;
      const which = step === 1 ? 'any byte' : 'a byte of any kind';
      test(`with a ${stop} after ${which}, ${dialect.name}, ${mode}: an error, or so much of the stream and an error`, async () => {
        const all = Array.from({ length: wire.bytes.length + 1 }, (_, count) => count);
        const counts = new Set([...joints(wire), ...all.filter((count) => count % step === 0)]);
        await runAll(Array.from(counts, (count) => ({ dialect, stream, wire, count, stop })));
      });
    }
  }

  test('with a close, over TLS: the same', async () => {
    const tls = serverCertificate;
    await inLanes(everyMode, everyMode.length, async ({ dialect, stream }) => {
      const wire = goodAnswer(dialect, stream);
      const counts = joints(wire).filter((_, index) => index % 3 === 0);
      await runAll(
        counts.map((count) => ({ dialect, stream, wire, count, stop: 'close' })),
        { tls },
      );
    });
  });

  test('with silence: the same after the time-out, and the connection is closed', async () => {
    await inLanes(everyMode, everyMode.length, async ({ dialect, stream }) => {
      const wire = goodAnswer(dialect, stream);
      const counts = joints(wire).filter((_, index) => index % 3 === 0);
      await runAll(counts.map((count) => ({ dialect, stream, wire, count, stop: 'stall' })));
    });
  });

  /** @param all - Of one dialect, one mode and one kind of stop. */
  async function runAll(all: readonly StoppedAnswer[], options: { tls?: CertificateFixture } = {}): Promise<void> {
    const [{ dialect, stream, stop }] = all as [StoppedAnswer];
    await using provider = await startFaultProvider(options);
    // A fresh connection each, or one that stops before its first byte would be taken for a kept one that had died.
    const timeout = stop === 'stall' ? stallTimeoutMs : 10_000;
    const url = await route(provider.url, dialect, { keepalive: false, timeout });
    const faults = new Map<string, Fault>();
    provider.script = (request) => faults.get(fieldOf(request, 'x-fault') ?? '') ?? send('an unknown fault\r\n\r\n');
    const answers = new Map<StoppedAnswer, CallResult>();
    await inLanes(all, stop === 'stall' ? all.length : 24, async (stopped) => {
      const fault = String(stopped.count);
      faults.set(fault, stopAfter(stopped.wire.bytes.subarray(0, stopped.count), stop));
      answers.set(stopped, await ask(`${url}?${fault}`, { stream, fault }));
    });
    const lines = await lab.linesByQuery(url, Array.from(faults.keys()));
    for (const [stopped, answer] of answers) {
      const { count, wire } = stopped;
      try {
        expectStopped(stopped, answer, lines.get(String(count)));
      } catch (cause) {
        const behind = wire.bytes.subarray(Math.max(0, count - 60), count).toString();
        throw new Error(`after ${count} bytes, ${JSON.stringify(behind)}, the client got ${answer.text}`, { cause });
      }
    }
    assert.equal(provider.calls.length, all.length, 'a request was sent again');
    await eventually(() =>
      provider.calls.every(({ closedBy }) => closedBy === (stop === 'stall' ? 'gateway' : 'provider')),
    );
  }
});

describe('an answer that is wrong', { timeout: 120_000 }, () => {
  for (const row of faultyAnswers) {
    test(row.name, async () => {
      const modes = everyMode.filter(({ mode }) => row.only === undefined || row.only === mode);
      await inLanes(modes, modes.length, ({ dialect, stream }) => run(row, dialect, stream));
    });
  }

  async function run(
    { fault, outcomeOf, timeout = 10_000 }: FaultyAnswer,
    dialect: Dialect,
    stream: boolean,
  ): Promise<void> {
    const wire = goodAnswer(dialect, stream);
    const outcome = outcomeOf(wire, dialect);
    // Of its own, and with it a pool without connections.
    await using provider = await startFaultProvider();
    const url = await route(provider.url, dialect, { timeout });
    provider.script = () => fault(wire, dialect);
    const answer = await ask(`${url}?first`, { stream });
    provider.script = () => send(wire.bytes);
    const next = await ask(`${url}?next`, { stream });
    const lines = await lab.linesByQuery(url, ['first', 'next']);
    expectOutcome(dialect, { outcome, answer, logged: lines.get('first') });
    expectGoodAnswer(dialect, next);
    expectLine(lines.get('next'), { status: 200, code: '', upstreamStatus: '200' });
    expectReuse(provider.calls, outcome.kept);
  }
});

describe('an answer with a status of its own', { timeout: 120_000 }, () => {
  for (const { name, ...error } of errorBodies) {
    test(`${name}: status, body and Retry-After reach the client, and the connection is kept`, async () => {
      await inLanes(everyMode, everyMode.length, async ({ dialect, stream }) => {
        await using provider = await startFaultProvider();
        const url = await route(provider.url, dialect);
        const statuses = [400, 401, 404, 418, 429, 500, 502, 503, 504, 529];
        for (const status of statuses) {
          const given = { ...error, status };
          provider.script = () => send(errorAnswer(given).bytes);
          expectErrorAnswer(dialect, await ask(`${url}?${status}`, { stream }), given);
        }
        const lines = await lab.linesByQuery(url, statuses.map(String));
        for (const [code, line] of lines) expectLine(line, { status: Number(code), code: '', upstreamStatus: code });
        assert.deepEqual(
          provider.calls.map(({ turn }) => turn),
          statuses.map((_, index) => index + 1),
        );
      });
    });
  }
});

describe('a kept connection that the provider closes just as the next request comes', { timeout: 120_000 }, () => {
  for (const stop of ['close', 'reset'] as const) {
    test(`with a ${stop}: the request is sent once more, on a fresh one, and the client notices nothing`, async () => {
      for (const { dialect, stream } of everyMode) {
        await using provider = await startFaultProvider();
        const wire = goodAnswer(dialect, stream);
        const url = await route(provider.url, dialect);
        provider.script = () => (call) => (call.turn === 2 ? stopAfter('', stop) : send(wire.bytes))(call);
        for (const query of ['first', 'next']) expectGoodAnswer(dialect, await ask(`${url}?${query}`, { stream }));
        const lines = await lab.linesByQuery(url, ['first', 'next']);
        for (const line of lines.values()) expectLine(line, { status: 200, code: '', upstreamStatus: '200' });
        assert.deepEqual(
          provider.calls.map(({ turn }) => turn),
          [1, 2, 1],
        );
        assert.deepEqual(provider.calls[2]?.request, provider.calls[1]?.request);
      }
    });
  }
});

describe('a provider that cannot be called', { timeout: 120_000 }, () => {
  for (const { name, open, status, codes } of badPlaces) {
    test(`because it ${name}: ${status}`, async () => {
      await using place = await open();
      const timeout = status === 504 ? stallTimeoutMs : 10_000;
      await inLanes(everyMode, everyMode.length, async ({ dialect, stream }) => {
        const url = await route(place.url, dialect, { timeout });
        const answer = await ask(`${url}?once`, { stream });
        const logged = (await lab.linesByQuery(url, ['once'])).get('once');
        const code = codes.find((code) => code === logged?.weir_error) ?? assert.fail(answer.text);
        expectError(dialect, answer, logged, { status, code, upstreamStatus: '-' });
      });
    });
  }
});

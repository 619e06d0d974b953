import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import type { LoggedCall } from '../support/ai-stage.ts';
import type { CallResult } from '../support/http-call.ts';
import { fieldOf, type RecordedRequest } from '../support/mock-provider.ts';
import { everyMode } from './dialects.ts';
import { expectErrorAnswer, expectGoodAnswer, expectLine, expectOutcome } from './expectations.ts';
import { send, startFaultProvider, stopAfter, type Fault, type Stop } from './fault-provider.ts';
import { errorAnswer, errorBodies, faultyAnswers, goodAnswer, stallTimeoutMs } from './faults.ts';
import { ask, inLanes, providerAt, startLab, type FaultLab } from './lab.ts';
import { badPlaces } from './places.ts';
import { expectStopped, failureOf, hasBegun, joints, type StoppedAnswer } from './stopped-answer.ts';

// The faults of single.test.ts at the first of two instances of ai-proxy-multi. What happens before the client has
// anything leads to the second instance; what happens after it ends as it does with one provider.

const strategies = [
  { name: 'a list of statuses', strategy: ['http_429', 'http_5xx'], modes: everyMode },
  // The same by other words: one dialect tells.
  { name: 'the strategy of the guide', strategy: 'instance_health_and_rate_limiting', modes: everyMode.slice(0, 2) },
];
const retriedStatuses = [429, 500, 502, 503, 504, 529];
const finalStatuses = [400, 401, 404, 418];

let lab: FaultLab;
before(async () => {
  lab = await startLab();
});
after(() => lab[Symbol.asyncDispose]());

type Mode = (typeof everyMode)[number];

/** One client call, and what became of it. */
interface Run {
  readonly answer: CallResult;
  readonly logged: LoggedCall;
  /** Requests that the second instance got. */
  readonly seconds: readonly RecordedRequest[];
}

/** Calls a route whose first instance is at `url`, each time with another fault, by name. */
async function runAll(
  url: string,
  { dialect, stream }: Mode,
  options: { conf: object; faults: readonly string[] },
): Promise<ReadonlyMap<string, Run>> {
  const { conf, faults } = options;
  await using second = await startFaultProvider();
  second.script = () => send(goodAnswer(dialect, stream).bytes);
  const instance = (name: string, priority: number, at: string): object => ({
    ...providerAt(at, dialect),
    name,
    priority,
    weight: 1,
    auth: { header: { Authorization: `Bearer of-the-${name}`, [`X-${name}`]: name } },
    options: { model: `model-of-${name}`, [`option_of_${name}`]: true },
  });
  const route = await lab.route(dialect, {
    'ai-proxy-multi': {
      keepalive: false,
      timeout: 10_000,
      ...conf,
      instances: [instance('first', 1, url), instance('second', 0, second.url)],
    },
  });
  const answers = new Map<string, CallResult>();
  await inLanes(faults, 64, async (fault) => {
    answers.set(fault, await ask(`${route}?${fault}`, { stream, fault, content: `caused by ${fault}` }));
  });
  const lines = await lab.linesByQuery(route, faults);
  const runs = new Map<string, Run>();
  for (const [fault, answer] of answers) {
    const seconds = second.calls
      .map(({ request }) => request)
      .filter(({ body }) => body.includes(`"caused by ${fault}"`));
    runs.set(fault, { answer, logged: lines.get(fault) ?? assert.fail(), seconds });
  }
  return runs;
}

/** The client has the second instance's answer, and that instance was asked as if it were the only one. */
function expectFallback({ dialect, stream }: Mode, { answer, logged, seconds }: Run, upstreamStatus: string): void {
  expectGoodAnswer(dialect, answer);
  expectLine(logged, { status: 200, code: '', upstreamStatus: `${upstreamStatus}, 200` });
  assert.match(logged.upstream_addr, /^\S+, 127\.0\.0\.1:\d+$/);
  assert.equal(logged.llm_model, 'model-of-second');
  const [request] = seconds;
  assert.ok(seconds.length === 1 && request !== undefined, 'calls of the second instance');
  assert.equal(fieldOf(request, 'authorization'), 'Bearer of-the-second');
  const text = JSON.stringify(request.fields) + request.body.toString();
  assert.ok(!/of[-_]the[-_]first|of[-_]first|x-first/i.test(text), `something of the first instance: ${text}`);
  const asked = JSON.parse(request.body.toString()) as Record<string, unknown>;
  assert.deepEqual(
    [asked['model'], asked['option_of_second'], asked['stream'] ?? false],
    ['model-of-second', true, stream],
  );
}

function expectNoFallback({ seconds }: Run): void {
  assert.equal(seconds.length, 0, 'the second instance was asked');
}

/** A fault of the first instance's answer, and what has to come of it. */
interface Case {
  readonly name: string;
  readonly fault: Fault;
  readonly expect: (run: Run) => void;
}

async function runCases(mode: Mode, conf: object, cases: readonly Case[]): Promise<void> {
  await using first = await startFaultProvider();
  const byName = new Map(cases.map((each) => [encodeURIComponent(each.name), each]));
  first.script = (request) => byName.get(fieldOf(request, 'x-fault') ?? '')?.fault ?? send('unknown\r\n\r\n');
  const runs = await runAll(first.url, mode, { conf, faults: Array.from(byName.keys()) });
  assert.equal(first.calls.length, cases.length, 'calls of the first instance');
  for (const [name, run] of runs) {
    try {
      byName.get(name)?.expect(run);
    } catch (cause) {
      const { status, text } = run.answer;
      throw new Error(`${decodeURIComponent(name)}: ${status} ${text.slice(0, 500)}`, { cause });
    }
  }
}

/** Answers that are wrong. @param timeout - Those that need this time-out. */
function wrongCases(mode: Mode, timeout: number | undefined): Case[] {
  const { dialect, stream } = mode;
  const wire = goodAnswer(dialect, stream);
  return faultyAnswers
    .filter((row) => row.timeout === timeout && (row.only ?? mode.mode) === mode.mode)
    .map(({ name, fault, outcomeOf }) => ({
      name,
      fault: fault(wire, dialect),
      expect(run) {
        const outcome = outcomeOf(wire, dialect);
        if (outcome.error !== undefined) return expectFallback(mode, run, outcome.upstreamStatus ?? '200');
        expectOutcome(dialect, { outcome, ...run });
        expectNoFallback(run);
      },
    }));
}

function stopCases(mode: Mode, stop: Stop): Case[] {
  const { dialect, stream } = mode;
  const wire = goodAnswer(dialect, stream);
  const counts = joints(wire).filter((_, index) => stop !== 'stall' || index % 3 === 0);
  return counts.map((count) => {
    const stopped: StoppedAnswer = { dialect, stream, wire, count, stop };
    return {
      name: `after ${count} bytes`,
      fault: stopAfter(wire.bytes.subarray(0, count), stop),
      expect(run) {
        if (!hasBegun(stopped)) return expectFallback(mode, run, failureOf(stopped).upstreamStatus);
        expectStopped(stopped, run.answer, run.logged);
        expectNoFallback(run);
      },
    };
  });
}

function errorCases(mode: Mode): Case[] {
  return [...retriedStatuses, ...finalStatuses].flatMap((status) =>
    errorBodies.map(({ name, ...error }) => ({
      name: `${status} ${name}`,
      fault: send(errorAnswer({ ...error, status }).bytes),
      expect(run) {
        if (retriedStatuses.includes(status)) return expectFallback(mode, run, String(status));
        expectErrorAnswer(mode.dialect, run.answer, { ...error, status });
        expectLine(run.logged, { status, code: '', upstreamStatus: String(status) });
        expectNoFallback(run);
      },
    })),
  );
}

/** Errors that never end. */
function endlessErrorCases(mode: Mode): Case[] {
  const error = { status: 503, contentType: 'application/json', body: `{"error":"${'x'.repeat(5000)}"}` };
  const { bytes, headBytes } = errorAnswer(error);
  const dripSlowly: Fault = async (call) => {
    call.send(bytes.subarray(0, headBytes));
    for (let at = headBytes; at < bytes.length && call.isOpen; at++) {
      call.send(bytes.subarray(at, at + 1));
      await new Promise((resolve) => setTimeout(resolve, 10));
    }
  };
  const expect = (run: Run): void => expectFallback(mode, run, '503');
  return [
    { name: 'an error that stalls', fault: stopAfter(bytes.subarray(0, -10), 'stall'), expect },
    { name: 'an error that drips', fault: dripSlowly, expect },
  ];
}

for (const { name, strategy, modes } of strategies) {
  describe(`with ${name}, the first instance's answer`, { timeout: 120_000 }, () => {
    const conf = { fallback_strategy: strategy };

    for (const mode of modes) {
      const what = `${mode.dialect.name}, ${mode.mode}`;
      test(`that is wrong, ${what}: the second instance answers unless the client has something`, () =>
        runCases(mode, conf, wrongCases(mode, undefined)));

      for (const stop of ['close', 'reset'] as const) {
        test(`that stops by ${stop}, ${what}: the second instance answers unless the client has something`, () =>
          runCases(mode, conf, stopCases(mode, stop)));
      }

      test(`that is an error, ${what}: the second instance answers after 429 and 5xx`, () =>
        runCases(mode, conf, errorCases(mode)));
    }

    test('that never ends: the second instance answers after the time-out unless the client has something', () =>
      inLanes(modes, modes.length, (mode) =>
        runCases(mode, { ...conf, timeout: stallTimeoutMs }, [
          ...stopCases(mode, 'stall'),
          ...wrongCases(mode, stallTimeoutMs),
          ...endlessErrorCases(mode),
        ]),
      ));
  });

  describe(`with ${name}, a first instance that cannot be called`, { timeout: 120_000 }, () => {
    for (const { name: what, open, status } of badPlaces) {
      test(`because it ${what}: the second instance answers`, async () => {
        await using place = await open();
        const timeout = status === 504 ? stallTimeoutMs : 10_000;
        await inLanes(modes, modes.length, async (mode) => {
          const runs = await runAll(place.url, mode, {
            conf: { fallback_strategy: strategy, timeout },
            faults: ['a', 'b'],
          });
          for (const run of runs.values()) expectFallback(mode, run, '-');
        });
      });
    }
  });
}

describe('without a strategy', { timeout: 120_000 }, () => {
  for (const mode of everyMode) {
    const { dialect, stream } = mode;
    test(`what the first instance does is what the client gets, ${dialect.name}, ${mode.mode}`, async () => {
      const wire = goodAnswer(dialect, stream);
      const wrong = faultyAnswers.filter(
        ({ timeout, only = mode.mode }) => timeout === undefined && only === mode.mode,
      );
      await runCases(mode, {}, [
        ...wrong.map(({ name, fault, outcomeOf }) => ({
          name,
          fault: fault(wire, dialect),
          expect(run: Run) {
            expectOutcome(dialect, { outcome: outcomeOf(wire, dialect), ...run });
            expectNoFallback(run);
          },
        })),
        ...retriedStatuses.map((status) => {
          const error = { ...errorBodies[0], status };
          return {
            name: String(status),
            fault: send(errorAnswer(error).bytes),
            expect(run: Run) {
              expectErrorAnswer(dialect, run.answer, error);
              expectLine(run.logged, { status, code: '', upstreamStatus: String(status) });
              expectNoFallback(run);
            },
          };
        }),
      ]);
    });
  }
});

describe('when both instances fail', { timeout: 120_000 }, () => {
  test('V13 the client gets 502 with what the last one said', async () => {
    const [json] = errorBodies;
    await inLanes(everyMode, everyMode.length, async ({ dialect, stream }) => {
      await using first = await startFaultProvider();
      await using second = await startFaultProvider();
      first.script = () => send(errorAnswer({ ...json, body: '{}', status: 500 }).bytes);
      second.script = () => send(errorAnswer({ ...json, status: 503 }).bytes);
      const instances = [first.url, second.url].map((url, index) => ({
        ...providerAt(url, dialect),
        name: `i${index}`,
        weight: 1,
        priority: -index,
      }));
      const url = await lab.route(dialect, { 'ai-proxy-multi': { fallback_strategy: ['http_5xx'], instances } });
      const answer = await ask(`${url}?once`, { stream });
      expectErrorAnswer(dialect, answer, { ...json, status: 502 });
      const line = (await lab.linesByQuery(url, ['once'])).get('once');
      expectLine(line, { status: 502, code: 'ALL_INSTANCES_FAILED', upstreamStatus: '500, 503' });
      assert.deepEqual([first.calls.length, second.calls.length], [1, 1]);
    });
  });
});

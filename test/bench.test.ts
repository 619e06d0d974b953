import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { leastDisturbed } from '../bench/least-disturbed.ts';
import { CountedPart } from '../bench/load/counted-part.ts';
import { Histogram } from '../bench/load/histogram.ts';
import { ResponseReader } from '../bench/load/response-reader.ts';
import { StreamChecker } from '../bench/load/stream-checker.ts';
import {
  deltaChunk,
  doneChunk,
  lastChunk,
  plainAnswer,
  roleChunk,
  streamHead,
  usageChunk,
} from '../bench/mock/answers.ts';
import { parseOptions } from '../bench/options.ts';
import { toTextTable } from '../bench/report/format.ts';
import type { Metric, Sample } from '../bench/report/result.ts';
import { medianRatio, summarise } from '../bench/report/summarise.ts';

describe('the histogram of the bench', () => {
  const seededRandom = (seed: number) => (): number => {
    seed = (seed * 1_103_515_245 + 12_345) % 2 ** 31;
    return seed / 2 ** 31;
  };

  for (const percent of [0, 1, 50, 90, 99, 99.9, 100]) {
    it(`gives percentile ${percent} of values from 1 µs to 100 s to within 0.4 %`, () => {
      const random = seededRandom(42);
      const values = Array.from({ length: 10_000 }, () => Math.round(10 ** (random() * 8)));
      const histogram = new Histogram();
      for (const value of values) histogram.record(value);

      const sorted = values.sort((a, b) => a - b);
      const exact = sorted[Math.max(0, Math.ceil((percent / 100) * sorted.length) - 1)] ?? NaN;
      const got = histogram.percentile(percent);
      assert.ok(Math.abs(got - exact) <= exact * 0.004, `${got} instead of ${exact}`);
    });
  }

  it('keeps small values and the largest one exactly', () => {
    const histogram = new Histogram();
    for (const value of [3, 255, 1_234_567]) histogram.record(value);
    assert.deepEqual(
      [histogram.percentile(1), histogram.percentile(50), histogram.percentile(100), histogram.max],
      [3, 255, 1_234_567, 1_234_567],
    );
  });

  it('is 0 when nothing was recorded', () => {
    assert.equal(new Histogram().percentile(99), 0);
  });
});

describe('the stream checker of the bench', () => {
  const sentMicros = 5_000_000;
  const event = (chunk: string): string => chunk.slice(chunk.indexOf('\r\n') + 2, -2);
  const role = event(roleChunk);
  const delta = (sequence: number): string => event(deltaChunk(sequence, sentMicros + sequence * 20_000));
  const usage = event(usageChunk);
  const done = event(doneChunk);

  /** Each event comes 1 ms after delta 2 was written. */
  const check = (events: readonly string[], arrivalMicros = sentMicros + 41_000): StreamChecker => {
    const checker = new StreamChecker({ deltas: 3, lateAfterMs: 100 }, { onDelta: () => {} });
    for (const text of events) checker.push(text, arrivalMicros);
    return checker;
  };
  const whole = [role, delta(0), delta(1), delta(2), usage, done];

  it('finds nothing wrong with a whole stream', () => {
    const checker = check(whole);
    assert.equal(checker.end(), null);
    assert.equal(checker.events, 6);
  });

  it('finds nothing wrong with a whole stream that comes byte by byte', () => {
    assert.equal(check(whole.join('').split('')).end(), null);
  });

  it('passes over comments', () => {
    assert.equal(check([role, ': keep-alive\n\n', ...whole.slice(1)]).end(), null);
  });

  for (const [what, events, fault] of [
    ['a lost delta', [role, delta(0), delta(2), usage, done], 'delta 2 instead of delta 1'],
    ['a lost last delta', [role, delta(0), delta(1), usage, done], /instead of delta 2$/],
    ['a repeated delta', [role, delta(0), delta(0), delta(1), delta(2), usage, done], 'delta 0 instead of delta 1'],
    ['reordered deltas', [role, delta(1), delta(0), delta(2), usage, done], 'delta 1 instead of delta 0'],
    ['one delta too many', [role, delta(0), delta(1), delta(2), delta(3), usage, done], 'delta 3 instead of usage'],
    ['a lost role', whole.slice(1), 'delta 0 instead of the role'],
    ['a lost usage', [role, delta(0), delta(1), delta(2), done], /instead of usage$/],
    ['a lost [DONE]', whole.slice(0, -1), 'ended before [DONE]'],
    ['an event behind [DONE]', [...whole, done], /instead of the end$/],
    ['a cut stream', whole.slice(0, 3), 'ended before delta 2'],
    ['a cut event', [role, delta(0), delta(1).slice(0, 40)], 'ended before delta 1'],
    ['an empty stream', [], 'ended before the role'],
  ] as const) {
    it(`notices ${what}`, () => {
      const found = check(events).end();
      if (typeof fault === 'string') assert.equal(found, fault);
      else assert.match(found ?? '', fault);
    });
  }

  it('notices a late delta', () => {
    // Delta 0 was written at sentMicros, and 101 ms later is 1 ms too late.
    assert.equal(check(whole, sentMicros + 101_000).end(), 'delta 0 was 101 ms late');
  });

  it('tells how long deltas were under way, and how far their gaps differ from the pace', () => {
    const seen: [number, number][] = [];
    const onDelta = (transit: number, gap: number): void => void seen.push([transit, gap]);
    const checker = new StreamChecker({ deltas: 3, lateAfterMs: 100 }, { onDelta });
    checker.push(role, sentMicros);
    for (const [sequence, lateness] of [300, 700, 200].entries()) {
      checker.push(delta(sequence), sentMicros + sequence * 20_000 + lateness);
    }
    assert.deepEqual(seen, [
      [300, NaN],
      [700, 400],
      [200, -500],
    ]);
  });
});

describe('the response reader of the bench', () => {
  const plain = `HTTP/1.1 200 OK\r\nContent-Length: ${plainAnswer.length}\r\n\r\n${plainAnswer}`;
  const stream = streamHead + roleChunk + deltaChunk(0, 1) + usageChunk + doneChunk + lastChunk;
  const refusal = 'HTTP/1.1 503 Service Unavailable\r\ncontent-length: 0\r\n\r\n';

  const read = (pieces: readonly string[]): string[] => {
    const responses: string[] = [];
    let body = '';
    const reader = new ResponseReader({
      onBody: (text) => (body += text),
      onEnd: (status) => {
        responses.push(`${status} ${body}`);
        body = '';
      },
    });
    for (const piece of pieces) reader.push(piece);
    return responses;
  };

  it('reads responses by length and by chunks, split at every place', () => {
    const text = plain + stream + refusal + plain;
    const expected = read([text]);
    assert.equal(expected.length, 4);
    assert.equal(expected[0], `200 ${plainAnswer}`);
    assert.match(expected[1] ?? '', /^200 data: .*\n\ndata: \[DONE\]\n\n$/s);
    assert.equal(expected[2], '503 ');
    for (let at = 1; at < text.length; at++) assert.deepEqual(read([text.slice(0, at), text.slice(at)]), expected);
    assert.deepEqual(read(text.split('')), expected);
  });

  it('refuses a response that has no end', () => {
    assert.throws(() => read(['HTTP/1.1 200 OK\r\n\r\n']), /without a length/);
  });
});

describe('the summary of the bench', () => {
  const rate: Metric = { key: 'rate', label: 'rate', unit: 'per second', better: 'higher', isCapped: true };
  const time: Metric = { key: 'time', label: 'time', unit: 'µs', better: 'lower', isAdded: true };
  const good = (rate: number, time: number): Sample => ({ metrics: { rate, time }, failure: null });
  const failed = (rate: number, failure: string): Sample => ({ metrics: { rate, time: 0 }, failure });
  const direct = [good(1000, 10), good(1020, 30), good(980, 20)];

  const rowOf = (samples: readonly Sample[]) => summarise({ subject: 'weir', samples, direct }, [rate, time]);

  it('takes medians', () => {
    assert.deepEqual(rowOf([good(500, 50), good(300, 90), good(400, 60)]).values, { rate: 400, time: 60 });
  });

  it('does not count a run in which something failed, however good its numbers are, and says so', () => {
    const row = rowOf([good(500, 50), failed(9000, '3 status errors'), good(400, 60)]);
    assert.deepEqual(row.values, { rate: 450, time: 55 });
    assert.deepEqual([row.runs, row.countedRuns, row.failures], [3, 2, ['3 status errors']]);
    const group = { title: '', metrics: [rate, time], curve: null, cases: [{ label: 'x', rows: [row] }] };
    assert.equal(toTextTable(group).cases[0]?.lines[0]?.at(-1), '2 of 3 runs count: 3 status errors');
  });

  it('has no numbers at all when every run failed', () => {
    const row = rowOf([failed(500, 'delta 3 was 120 ms late'), failed(600, 'delta 3 was 120 ms late')]);
    assert.deepEqual([row.values, row.added, row.rigBound, row.curve], [{}, {}, [], []]);
    const group = { title: '', metrics: [rate, time], curve: null, cases: [{ label: 'x', rows: [row] }] };
    assert.deepEqual(toTextTable(group).cases[0]?.lines[0], [
      'weir',
      '-',
      '-',
      '-',
      'does not count: delta 3 was 120 ms late',
    ]);
  });

  it('compares each round with the run without a gateway in the same round', () => {
    // The medians of the two sides, 50 and 20, are 30 apart; round by round it is 40, 100 and 5.
    assert.deepEqual(rowOf([good(1, 50), good(1, 130), good(1, 25)]).added, { time: 40 });
  });

  it('leaves a round out of the comparison when the run without a gateway failed', () => {
    const samples = [good(1, 50), good(1, 130)];
    const row = summarise({ subject: 'weir', samples, direct: [failed(1, 'x'), good(1, 30)] }, [time]);
    assert.deepEqual(row.added, { time: 100 });
  });

  describe('as a multiple of another row', () => {
    const reference: Metric = { ...rate, isCompared: true };
    const rowsOf = (weir: readonly Sample[], nginx: readonly Sample[]) =>
      [
        summarise({ subject: 'nginx', samples: nginx, direct: null }, [reference]),
        summarise({ subject: 'weir', samples: weir, direct: null }, [reference]),
      ] as const;
    const ratioOf = (weir: readonly Sample[], nginx: readonly Sample[]): number | undefined => {
      const [base, row] = rowsOf(weir, nginx);
      return medianRatio(row, base, 'rate');
    };

    it('takes the median of what each round gives', () => {
      // The machine was slow in rounds 2 and 3. The medians, 500 and 600, would make 0.83.
      const weir = [good(500, 0), good(300, 0), good(600, 0)];
      const nginx = [good(1000, 0), good(600, 0), good(600, 0)];
      assert.equal(ratioOf(weir, nginx), 0.5);
      const cases = [{ label: 'x', rows: rowsOf(weir, nginx) }];
      const table = toTextTable({ title: '', metrics: [reference], curve: null, cases });
      assert.deepEqual(
        table.cases[0]?.lines.map((line) => line.slice(0, 3)),
        [
          ['nginx', '600', '1.00'],
          ['weir', '500', '0.50'],
        ],
      );
    });

    it('leaves out a round in which either failed', () => {
      const weir = [good(500, 0), failed(9000, 'x'), good(300, 0)];
      const nginx = [failed(1, 'x'), good(1000, 0), good(1000, 0)];
      assert.equal(ratioOf(weir, nginx), 0.3);
    });

    it('is unknown where no round counts for both', () => {
      assert.equal(ratioOf([good(500, 0), failed(1, 'x')], [failed(1, 'x'), good(1000, 0)]), undefined);
    });
  });

  it('tells what was measured again, and what had failed in the runs that were discarded', () => {
    const again = (discarded: readonly (string | null)[]): Sample => ({
      ...good(500, 50),
      disturbance: 0.02,
      discarded,
    });
    const row = rowOf([again([null]), again([]), again(['delta 3 was 120 ms late', null])]);
    assert.deepEqual([row.countedRuns, row.repeatedRuns, row.failures], [3, 2, ['delta 3 was 120 ms late']]);
    const group = { title: '', metrics: [rate], curve: null, cases: [{ label: 'x', rows: [row] }] };
    assert.equal(
      toTextTable(group).cases[0]?.lines[0]?.at(-1),
      '2 of 3 rounds measured again: delta 3 was 120 ms late',
    );
  });

  it('tells what disturbed the runs all the same', () => {
    const row = rowOf([{ ...good(500, 50), disturbance: 0.12 }]);
    const group = { title: '', metrics: [rate], curve: null, cases: [{ label: 'x', rows: [row] }] };
    assert.equal(toTextTable(group).cases[0]?.lines[0]?.at(-1), 'disturbed: strangers took 12 % of a core');
  });

  it('marks what is within 10 % of the run without a gateway as rig-bound', () => {
    assert.deepEqual(rowOf([good(899, 1)]).rigBound, []);
    assert.deepEqual(rowOf([good(900, 1)]).rigBound, ['rate']);
  });
});

describe('a disturbed measurement of the bench', () => {
  /** @returns What counts, and how many were measured. */
  const measure = async (...runs: readonly [disturbance: number, failure: string | null][]) => {
    let measured = 0;
    const result = await leastDisturbed(
      (repeat) => {
        assert.equal(repeat, measured++);
        const [disturbance, failure] = runs[repeat] ?? assert.fail('measured too often');
        return Promise.resolve({ metrics: { rate: repeat }, failure, disturbance });
      },
      (repeats) => repeats < 2,
    );
    return { rate: result.metrics['rate'], failure: result.failure, discarded: result.discarded, measured };
  };

  it('is not repeated when strangers took 5 % of a core or less', async () => {
    assert.deepEqual(await measure([0.05, null]), { rate: 0, failure: null, discarded: [], measured: 1 });
  });

  it('is repeated until one is not disturbed', async () => {
    assert.deepEqual(await measure([0.3, null], [0.02, null]), {
      rate: 1,
      failure: null,
      discarded: [null],
      measured: 2,
    });
  });

  it('is repeated as often as may be; the least disturbed counts', async () => {
    assert.deepEqual(await measure([0.3, 'cut off'], [0.1, null], [0.2, null]), {
      rate: 1,
      failure: null,
      discarded: ['cut off', null],
      measured: 3,
    });
  });

  it('counts as failed when the least disturbed run failed', async () => {
    assert.equal((await measure([0.3, null], [0.02, 'a frame was lost'])).failure, 'a frame was lost');
  });
});

describe('the part of a run of streams that counts', () => {
  it('has the events and the CPU time between its two ends only', () => {
    const part = new CountedPart([process.pid]);
    part.begin(100);
    assert.equal(part.isRunning, true);
    const spinUntilMs = performance.now() + 30;
    while (performance.now() < spinUntilMs);
    part.end(350);
    const { cpuMicros } = part;
    assert.deepEqual([part.isRunning, part.events], [false, 250]);
    assert.ok(part.seconds >= 0.03);
    // A busy machine gives this process less than the time that passes, but never none of it.
    assert.ok(cpuMicros > 0 && cpuMicros < 60 * 1e6);
  });
});

describe('the command line of the bench', () => {
  const ids = ['a', 'b', 'c'];

  it('has one round in a quick run and three in a full one', () => {
    assert.equal(parseOptions(['--quick'], ids).rounds, 1);
    assert.equal(parseOptions([], ids).rounds, 3);
    assert.equal(parseOptions(['--quick', '--rounds', '2'], ids).rounds, 2);
  });

  it('takes peers with headers', () => {
    const text = 'apisix=http://127.0.0.1:9080/llm/,apikey:k1,x-team: blue';
    assert.deepEqual(parseOptions(['--peer', text], ids).peers, [
      { name: 'apisix', port: 9080, pathPrefix: '/llm', headers: { apikey: 'k1', 'x-team': 'blue' } },
    ]);
  });

  for (const [args, message] of [
    [['--only', 'a,x'], /--only x: scenarios are a, b, c/],
    [['--rounds', '0'], /--rounds takes a number from 1 to 20/],
    [['--peer', 'apisix'], /--peer takes NAME=URL/],
    [['--peer', 'far=http://192.0.2.1:80'], /loads nothing but this machine/],
    [['--peer', 'apisix=http://127.0.0.1:9080,nonsense'], /--peer apisix: "nonsense" is no header/],
    [['--peer', 'weir=http://127.0.0.1:9080'], /--peer weir: there is another peer of that name/],
    [['--peer', 'x=http://127.0.0.1:1', '--peer', 'x=http://127.0.0.1:2'], /--peer x: there is another peer/],
  ] as const) {
    it(`refuses ${args.join(' ')}`, () => {
      assert.throws(() => parseOptions(args, ids), message);
    });
  }
});

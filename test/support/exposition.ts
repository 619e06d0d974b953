import assert from 'node:assert/strict';

/** One line of the exposition format. */
export interface Sample {
  readonly name: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly value: number;
}

const nameAndLabels = /^(?<name>[a-zA-Z_:][\w:]*)(?:\{(?<labels>.*)\})? (?<value>[^ ]+)$/;
const label = /(?<name>[a-zA-Z_]\w*)="(?<value>(?:[^"\\\n]|\\["\\n])*)"(?:,|$)/y;

/**
 * Reads metrics strictly after the grammar of version 0.0.4: HELP and TYPE once, in front of the samples of their metric,
 * which stand together; no sample twice; histograms with rising cumulative buckets that end in their count.
 *
 * @see https://prometheus.io/docs/instrumenting/exposition_formats/
 */
export function parseExposition(text: string): readonly Sample[] {
  assert.ok(text.endsWith('\n'), 'the last line ends with a line feed');
  const samples: Sample[] = [];
  const types = new Map<string, string>();
  const seen = new Set<string>();
  let family = '';
  for (const line of text.split('\n').slice(0, -1)) {
    if (line.startsWith('# HELP ')) {
      const [, name = ''] = /^# HELP ([a-zA-Z_:][\w:]*) .+$/.exec(line) ?? [];
      assert.ok(name !== '' && !types.has(name), `HELP once for each metric: ${line}`);
      family = name;
      continue;
    }
    if (line.startsWith('# TYPE ')) {
      const [, name = '', type = ''] = /^# TYPE (\S+) (counter|gauge|histogram)$/.exec(line) ?? [];
      assert.ok(name === family && !types.has(name), `TYPE behind its HELP: ${line}`);
      types.set(name, type);
      continue;
    }
    const { name = '', labels = '', value = '' } = nameAndLabels.exec(line)?.groups ?? {};
    assert.ok(name !== '', `a sample: ${line}`);
    const suffix = types.get(family) === 'histogram' ? /_(?:bucket|sum|count)$/ : /$^/;
    assert.equal(name.replace(suffix, ''), family, 'a sample stands below its own TYPE');
    assert.match(value, /^-?(?:\d+(?:\.\d+)?(?:e[+-]\d+)?)$/, line);
    assert.ok(!seen.has(`${name}{${labels}}`), `no sample twice: ${line}`);
    seen.add(`${name}{${labels}}`);
    samples.push({ name, labels: parseLabels(labels), value: Number(value) });
  }
  checkHistograms(samples, types);
  return samples;
}

function parseLabels(text: string): Record<string, string> {
  const labels: Record<string, string> = {};
  label.lastIndex = 0;
  for (let at = 0; at < text.length; at = label.lastIndex) {
    const found = label.exec(text)?.groups;
    assert.ok(found !== undefined, `labels: ${text.slice(at)}`);
    const { name = '', value = '' } = found;
    assert.ok(!Object.hasOwn(labels, name), `a label once: ${name}`);
    labels[name] = value.replace(/\\(.)/g, (_, escaped: string) => (escaped === 'n' ? '\n' : escaped));
  }
  return labels;
}

function checkHistograms(samples: readonly Sample[], types: ReadonlyMap<string, string>): void {
  const buckets = Map.groupBy(
    samples.filter(({ name }) => types.get(name.replace(/_bucket$/, '')) === 'histogram'),
    ({ name, labels: { le: _le, ...rest } }) => JSON.stringify([name.replace(/_bucket$/, ''), rest]),
  );
  for (const [key, list] of buckets) {
    const [name, labels] = JSON.parse(key) as [string, object];
    const bounds = list.map(({ labels: { le = '' } }) => (le === '+Inf' ? Infinity : Number(le)));
    assert.deepEqual(
      bounds,
      bounds.toSorted((a, b) => a - b),
      key,
    );
    assert.equal(bounds.at(-1), Infinity, key);
    const values = list.map(({ value }) => value);
    assert.deepEqual(
      values,
      values.toSorted((a, b) => a - b),
      `cumulative: ${key}`,
    );
    const count = samples.find((sample) => sample.name === `${name}_count` && isSame(sample.labels, labels));
    assert.equal(count?.value, values.at(-1), `the count of ${key}`);
    assert.ok(samples.some((sample) => sample.name === `${name}_sum` && isSame(sample.labels, labels)));
  }
}

function isSame(a: object, b: object): boolean {
  return JSON.stringify(a) === JSON.stringify(b);
}

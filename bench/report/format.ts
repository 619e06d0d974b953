import { disturbedShare, type GroupResult, type Metric, type Report, type Row } from './result.ts';
import { medianRatio } from './summarise.ts';

/** A number as people read it: three significant digits, thousands separated. */
export function formatNumber(value: number): string {
  if (!Number.isFinite(value)) return '-';
  const size = Math.abs(value);
  // -0.2 µs less than nothing reads as a mistake of the bench; it is noise.
  if (size < 0.005) return '0';
  const digits = size >= 100 ? 0 : size >= 10 ? 1 : 2;
  return value.toLocaleString('en', { minimumFractionDigits: digits, maximumFractionDigits: digits });
}

/** A value with its unit. */
export function formatValue(value: number | undefined, unit: Metric['unit']): string {
  if (value === undefined) return '-';
  switch (unit) {
    case 'µs':
      return Math.abs(value) >= 10_000 ? `${formatNumber(value / 1000)} ms` : `${formatNumber(value)} µs`;
    case 'ms':
      return `${formatNumber(value)} ms`;
    case 'bytes':
      return formatBytes(value);
    case 'count':
    case 'per second':
      return value >= 100 || Number.isInteger(value) ? Math.round(value).toLocaleString('en') : formatNumber(value);
  }
}

function formatBytes(value: number): string {
  const size = Math.abs(value);
  if (size < 1024) return `${Math.round(value)} B`;
  return size < 1024 ** 2 ? `${formatNumber(value / 1024)} KiB` : `${formatNumber(value / 1024 ** 2)} MiB`;
}

/** A column of the tables. */
interface Column {
  readonly title: string;
  cell(row: Row): string;
}

/** What is to be known to read the tables. */
export const legend = [
  'Every number stands beside a run without a gateway (direct) and beside each peer, measured in the same minutes.',
  'Numbers are medians of the rounds that count; a run with a failed request or a lost frame does not.',
  '"added" and "× nginx" compare within each round; the median of what the rounds give is shown.',
  '"rig-bound": within 10 % of what load and mock can do without a gateway, so that it tells nothing about the gateway.',
  `"disturbed": strangers took more than ${disturbedShare * 100} % of a core from gateway, load or mock, each time that it was measured again.`,
].join(' ');

/** The columns of a group: each metric, what is added to it, and how it stands against nginx's. */
function columnsOf({ metrics, cases }: GroupResult): Column[] {
  const hasReference = cases.some(({ rows }) => rows.some(({ subject }) => subject === reference));
  return metrics.flatMap((metric): Column[] => {
    const { key, label, unit, isAdded, isCompared } = metric;
    const columns: Column[] = [
      {
        title: label,
        cell: ({ values, rigBound }) => formatValue(values[key], unit) + (rigBound.includes(key) ? ' (rig-bound)' : ''),
      },
    ];
    if (isAdded) columns.push({ title: `added ${label}`, cell: ({ added }) => formatValue(added[key], unit) });
    if (isCompared && hasReference) {
      const rowsWith = (row: Row): readonly Row[] => cases.find(({ rows }) => rows.includes(row))?.rows ?? [];
      columns.push({ title: `× ${reference}`, cell: (row) => ratioTo(rowsWith(row), row, key) });
    }
    return columns;
  });
}

/** The peer that all are compared with. */
const reference = 'nginx';

function ratioTo(rows: readonly Row[], row: Row, key: string): string {
  const base = rows.find(({ subject }) => subject === reference);
  const ratio = base === undefined ? undefined : medianRatio(row, base, key);
  if (ratio === undefined) return '-';
  return ratio < 0.1 ? ratio.toFixed(3) : ratio.toFixed(2);
}

/** A group as a table of texts: the head, then lines of a case and its rows. */
export interface TextTable {
  readonly head: readonly string[];
  readonly cases: readonly { readonly label: string; readonly lines: readonly (readonly string[])[] }[];
}

/** Lays out a group. The last column says what is to be known about the runs. */
export function toTextTable(group: GroupResult): TextTable {
  const columns = columnsOf(group);
  return {
    head: ['', ...columns.map(({ title }) => title), ''],
    cases: group.cases.map(({ label, rows }) => ({
      label,
      lines: rows.map((row) => [row.subject, ...columns.map((column) => column.cell(row)), remarkOn(row)]),
    })),
  };
}

/** What is to be known about the runs: what keeps them from counting, what disturbed them. '' if there is nothing. */
function remarkOn({ runs, countedRuns, repeatedRuns, failures, disturbance }: Row): string {
  if (runs === 0) return 'did not run';
  const remarks: string[] = [];
  const reasons = failures.slice(0, 2).join('; ');
  if (countedRuns === 0) remarks.push(`does not count: ${reasons}`);
  else if (countedRuns < runs) remarks.push(`${countedRuns} of ${runs} runs count: ${reasons}`);
  if (repeatedRuns > 0) {
    const discarded = countedRuns === runs && reasons !== '' ? `: ${reasons}` : '';
    remarks.push(`${repeatedRuns} of ${runs} rounds measured again${discarded}`);
  }
  if (disturbance > disturbedShare)
    remarks.push(`disturbed: strangers took ${Math.round(disturbance * 100)} % of a core`);
  return remarks.join('; ');
}

/** The machine, the versions and the kind of run, in lines. */
export function describeRun({ date, machine, mode, rounds, seconds, setUps }: Report): string[] {
  const { cpu, cores, memoryGiB, system, kernel, versions } = machine;
  return [
    `${date.slice(0, 16).replace('T', ' ')} UTC, ${mode} run, ${rounds} ${rounds === 1 ? 'round' : 'rounds, medians'}, ${Math.round(seconds / 6) / 10} minutes`,
    `${cpu}, ${cores} cores, ${memoryGiB} GiB, ${system}, Linux ${kernel}`,
    Object.entries(versions)
      .map(([name, version]) => `${name} ${version}`)
      .join(', '),
    ...Object.entries(setUps).map(([name, setUp]) => `${name}: ${setUp}`),
  ];
}

import { execFile, execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync, symlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs, promisify } from 'node:util';
import { errorText } from '../error-text.ts';
import { medianOf } from '../report/summarise.ts';
import { microBenches } from './index.ts';

const usage = `npm run bench:micro -- [options]

  --base REV      compare the working tree with this revision, interleaved
  --only TEXT     only benches whose name has this in it
  --rounds N      default 5`;

const repository = new URL('../..', import.meta.url).pathname;
const script = new URL('./measure.ts', import.meta.url).pathname;
/** A smaller difference is noise. */
const threshold = 0.05;

/** A working tree whose src/ is measured. */
interface Revision {
  readonly name: string;
  readonly root: string;
}

async function main(): Promise<void> {
  const { values } = parseArgs({
    options: {
      base: { type: 'string' },
      only: { type: 'string', default: '' },
      rounds: { type: 'string', default: '5' },
      help: { type: 'boolean', default: false },
    },
  });
  const rounds = Number(values.rounds);
  if (values.help || !Number.isInteger(rounds) || rounds < 1) return print(usage);
  const head: Revision = { name: 'working tree', root: repository };
  if (values.base === undefined) return compare([head], values.only, rounds);
  const base = checkOut(values.base);
  try {
    await compare([base, head], values.only, rounds);
  } finally {
    execFileSync('git', ['worktree', 'remove', '--force', base.root], { cwd: repository });
    rmSync(join(base.root, '..'), { recursive: true, force: true });
  }
}

/** Puts a revision into a folder of its own, with the packages of this one. */
function checkOut(revision: string): Revision {
  const root = join(mkdtempSync(join(tmpdir(), 'weir-micro-')), 'base');
  execFileSync('git', ['worktree', 'add', '--detach', root, revision], { cwd: repository, stdio: 'pipe' });
  symlinkSync(join(repository, 'node_modules'), join(root, 'node_modules'));
  return { name: revision, root };
}

async function compare(revisions: readonly Revision[], only: string, rounds: number): Promise<void> {
  print(row('', [...revisions.map(({ name }) => name), revisions.length > 1 ? 'change' : '']));
  for (const [index, { name }] of microBenches.entries()) {
    if (!name.includes(only)) continue;
    const times = revisions.map((): (number | undefined)[] => []);
    for (let round = 0; round < rounds; round++) {
      // Base first, then head first: whatever drifts on the machine drifts for both.
      const order = [...revisions.keys()];
      if (round % 2 === 1) order.reverse();
      for (const which of order) times[which]?.push(await measureOne(revisions[which], index));
    }
    const medians = times.map((values) => medianOf(values));
    print(row(name, [...medians.map(formatNanos), describeChange(medians)]));
  }
}

async function measureOne(revision: Revision | undefined, index: number): Promise<number | undefined> {
  try {
    const { stdout } = await promisify(execFile)(process.execPath, [script, revision?.root ?? '', String(index)]);
    return Number(stdout);
  } catch {
    // The revision has no such function, or another form of it.
    return undefined;
  }
}

function describeChange([base, head]: readonly (number | null)[]): string {
  if (base === undefined || head === undefined) return '';
  if (base === null || head === null) return 'not comparable';
  const change = head / base - 1;
  if (Math.abs(change) < threshold) return 'same';
  return `${Math.abs(change * 100).toFixed(0)} % ${change < 0 ? 'faster' : 'slower'}`;
}

function formatNanos(nanos: number | null): string {
  if (nanos === null) return '-';
  return nanos < 10_000 ? `${nanos.toFixed(0)} ns` : `${(nanos / 1000).toFixed(1)} µs`;
}

function row(name: string, cells: readonly string[]): string {
  return name.padEnd(42) + cells.map((cell) => cell.padStart(16)).join('');
}

function print(line: string): void {
  process.stdout.write(`${line.trimEnd()}\n`);
}

try {
  await main();
} catch (error) {
  process.stderr.write(`bench: ${errorText(error)}\n`);
  process.exitCode = 1;
}

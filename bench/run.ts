import { execFileSync } from 'node:child_process';
import { mkdirSync, writeFileSync } from 'node:fs';
import { dirname } from 'node:path';
import { Bench } from './bench.ts';
import { errorText } from './error-text.ts';
import { install, requirePackages } from './install.ts';
import { parseOptions, usage, type BenchOptions } from './options.ts';
import { nginx } from './peers/nginx.ts';
import type { PeerKind } from './peers/peer.ts';
import { portkey } from './peers/portkey.ts';
import { weir } from './peers/weir.ts';
import { Progress } from './progress.ts';
import { describeRun } from './report/format.ts';
import { reportToHtml } from './report/html.ts';
import type { Report, ScenarioResult } from './report/result.ts';
import { reportToMarkdown, scenarioToText } from './report/table.ts';
import { endAll } from './rig/process.ts';
import { Rig } from './rig/rig.ts';
import { estimateSeconds, runScenario } from './runner.ts';
import { scenarios } from './scenarios/index.ts';

const kinds: readonly PeerKind[] = [nginx, portkey, weir];
/** Of the time that a run takes, for what is measured again. */
const repeatShare = 0.1;
const resultsFile = new URL('./RESULTS.md', import.meta.url).pathname;

async function main(options: BenchOptions): Promise<void> {
  if (options.install) install(kinds);
  requirePackages();
  for (const kind of kinds) {
    const reason = kind.missing();
    if (reason !== null) process.stderr.write(`without ${kind.name}: ${reason}\n`);
  }
  await using rig = await Rig.start();
  // This process waits most of the time; what it does must not happen on the gateway's core.
  execFileSync('taskset', ['-a', '-p', '-c', rig.cores.load, String(process.pid)]);
  const bench = new Bench(rig, kinds, { ...options, external: options.peers });
  try {
    const report = await runAll(bench, options);
    writeReports(report, options);
  } finally {
    await bench.stopPeers(bench.runningNames);
  }
}

async function runAll(bench: Bench, { only, quick, rounds }: BenchOptions): Promise<Report> {
  const startedMs = performance.now();
  const chosen = scenarios.filter(({ id }) => only === null || only.includes(id));
  const seconds = chosen.reduce((sum, scenario) => sum + estimateSeconds(bench, scenario), 0);
  const progress = new Progress(seconds);
  // On a machine that is never quiet a run would last three times as long. The numbers of a quick one are not for use.
  if (!quick) bench.allowRepeats(seconds * repeatShare);
  progress.doing('starting the peers');
  await bench.startPeers();
  progress.clear();
  for (const [name, setUp] of bench.describeExternal()) process.stderr.write(`${name}: ${setUp}\n`);
  const results: ScenarioResult[] = [];
  for (const scenario of chosen) {
    const result = await runScenario(bench, scenario, progress);
    progress.clear();
    process.stdout.write(`${scenarioToText(result)}\n`);
    results.push(result);
  }
  return {
    date: new Date().toISOString(),
    machine: bench.rig.machine,
    mode: quick ? 'quick' : 'full',
    rounds,
    seconds: (performance.now() - startedMs) / 1000,
    setUps: bench.describeSetUps(),
    scenarios: results,
  };
}

function writeReports(report: Report, { only, quick, json, html }: BenchOptions): void {
  const files = new Map([
    [json, `${JSON.stringify(report, null, 2)}\n`],
    [html, reportToHtml(report)],
  ]);
  if (only === null && !quick) files.set(resultsFile, reportToMarkdown(report));
  for (const [file, text] of files) {
    mkdirSync(dirname(file), { recursive: true });
    writeFileSync(file, text);
  }
  process.stdout.write(`\n${describeRun(report).join('\n')}\nwritten: ${[...files.keys()].join(', ')}\n`);
}

for (const signal of ['SIGINT', 'SIGTERM'] as const) {
  process.on(signal, () => void endAll().finally(() => process.exit(130)));
}

try {
  const options = parseOptions(
    process.argv.slice(2),
    scenarios.map(({ id }) => id),
  );
  if (options.help) process.stdout.write(`${usage}\n`);
  else await main(options);
} catch (error) {
  process.stderr.write(`bench: ${errorText(error)}\n`);
  process.exitCode = 1;
}

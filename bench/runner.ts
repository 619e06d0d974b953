import type { Bench } from './bench.ts';
import { errorText } from './error-text.ts';
import { leastDisturbed } from './least-disturbed.ts';
import { direct } from './peers/direct.ts';
import type { Progress } from './progress.ts';
import type { CaseResult, GroupResult, Sample, ScenarioResult } from './report/result.ts';
import { summarise } from './report/summarise.ts';
import type { Case, Group, Scenario } from './scenarios/scenario.ts';

/** How long a scenario takes, about, in seconds. */
export function estimateSeconds(bench: Bench, scenario: Scenario): number {
  const cases = scenario.groups(bench).flatMap((group) => group.cases);
  const round = cases.reduce((sum, { subjects, seconds }) => sum + subjects.length * seconds, 0);
  return (scenario.prepareSeconds?.(bench) ?? 0) + round * bench.rounds;
}

/** Runs one scenario and stops whatever it has started beside the peers. */
export async function runScenario(bench: Bench, scenario: Scenario, progress: Progress): Promise<ScenarioResult> {
  const peers = bench.runningNames;
  try {
    if (scenario.prepareSeconds !== undefined) {
      progress.doing(`${scenario.id}: starting gateways`);
      await scenario.prepare?.(bench);
      progress.done(scenario.prepareSeconds(bench));
    } else await scenario.prepare?.(bench);
    const groups: GroupResult[] = [];
    for (const group of scenario.groups(bench)) groups.push(await runGroup(bench, group, scenario.id, progress));
    return { id: scenario.id, title: scenario.title, groups, notes: scenario.conclude?.(groups, bench) ?? [] };
  } catch (error) {
    return { id: scenario.id, title: scenario.title, groups: [], notes: [`did not run: ${errorText(error)}`] };
  } finally {
    await bench.stopPeers(bench.runningNames.filter((name) => !peers.includes(name)));
  }
}

/** How often a disturbed sample is measured again, while there is time for that. */
const mostRepeats = 2;

/** Samples of a case: by subject, then by round. */
type Samples = Map<string, Sample[]>;

async function runGroup(bench: Bench, group: Group, id: string, progress: Progress): Promise<GroupResult> {
  const samples = new Map<Case, Samples>(group.cases.map((one) => [one, new Map()]));
  for (let round = 0; round < bench.rounds; round++) {
    for (const [one, ofCase] of samples) {
      const doing = (subject: string): void => {
        progress.doing(`${id}: ${one.label}, ${subject}, round ${round + 1} of ${bench.rounds}`);
      };
      const keep = (subject: string, sample: Sample): void => {
        ofCase.set(subject, [...(ofCase.get(subject) ?? []), sample]);
      };
      if (one.runTogether !== undefined) {
        doing('all');
        const found = await one.runTogether(round);
        for (const [subject, sample] of found) keep(subject, sample);
        progress.done(one.seconds * one.subjects.length);
        continue;
      }
      // Each round begins with another subject, so that none always follows the same one.
      for (const subject of rotate(one.subjects, round)) {
        const measure = async (repeat: number): Promise<Sample> => {
          if (repeat > 0) progress.more(one.seconds);
          doing(repeat === 0 ? subject : `${subject} again, because it was disturbed`);
          bench.takeDisturbance();
          const sample = await runOne(one, subject, round);
          progress.done(one.seconds);
          return { ...sample, disturbance: bench.takeDisturbance() };
        };
        const mayRepeat = (repeats: number): boolean => repeats < mostRepeats && bench.takeTimeToRepeat(one.seconds);
        keep(subject, await leastDisturbed(measure, mayRepeat));
      }
    }
  }
  const { title, metrics, curve = null } = group;
  const cases = [...samples].map(([one, ofCase]) => toCaseResult(one, ofCase, group));
  return { title, metrics, curve, cases };
}

async function runOne(one: Case, subject: string, round: number): Promise<Sample> {
  try {
    return await one.run(subject, round);
  } catch (error) {
    return { metrics: {}, failure: errorText(error) };
  }
}

function toCaseResult({ label, subjects }: Case, samples: Samples, { metrics }: Group): CaseResult {
  const limit = samples.get(direct.name) ?? null;
  const rows = subjects.map((subject) =>
    summarise(
      { subject, samples: samples.get(subject) ?? [], direct: subject === direct.name ? null : limit },
      metrics,
    ),
  );
  return { label, rows };
}

function rotate<T>(items: readonly T[], by: number): T[] {
  const start = by % Math.max(1, items.length);
  return [...items.slice(start), ...items.slice(0, start)];
}

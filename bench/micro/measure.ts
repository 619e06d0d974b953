import { pathToFileURL } from 'node:url';
import { join } from 'node:path';
import { measure } from 'mitata';
import { microBenches } from './index.ts';
import type { ImportSource } from './micro-bench.ts';

// Measures one micro bench in a process of its own, so that nothing that ran before has shaped its compiled code:
//   node measure.ts ROOT INDEX
// ROOT is the working tree whose src/ is measured. Prints the median time of one operation, in nanoseconds.
const [, , root = '', index = ''] = process.argv;

const importSource: ImportSource = async <M>(path: string) =>
  (await import(pathToFileURL(join(root, 'src', path)).href)) as M;

const bench = microBenches[Number(index)];
if (bench === undefined) throw new Error(`there is no micro bench ${index}`);
const operation = await bench.prepare(importSource);
const { p50 } = await measure(operation, { min_cpu_time: 300e6 });
process.stdout.write(`${p50}\n`);

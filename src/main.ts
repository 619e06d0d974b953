#!/usr/bin/env node
/** The way in. Checks what it runs on before it loads anything that an older Node could not load. */
const oldestNode = 24;

if (Number(process.versions.node.split('.', 1)[0]) < oldestNode) {
  process.stderr.write(`weir: needs Node ${oldestNode} or later, this is ${process.version}\n`);
  process.exitCode = 1;
} else {
  const { runWeir } = await import('./process/composition.ts');
  process.exitCode = await runWeir(process.argv.slice(2));
}

#!/usr/bin/env node
/** The way in. Checks what it runs on before it loads anything that an older Node could not load. */
const oldestNode = 24;

if (Number(process.versions.node.split('.', 1)[0]) < oldestNode) {
  process.stderr.write(`weir: needs Node ${oldestNode} or later, this is ${process.version}\n`);
  await answerWithoutGateway();
} else {
  const { runWeir } = await import('./process/composition.ts');
  process.exitCode = await runWeir(process.argv.slice(2));
}

/** The version can be told everywhere: whoever checks an installation asks for it first. */
async function answerWithoutGateway(): Promise<void> {
  if (process.argv[2] !== 'version') {
    process.exitCode = 1;
    return;
  }
  const { version } = await import('./base/version.ts');
  process.stdout.write(`weir ${version}\n`);
}

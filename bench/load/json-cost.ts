import { bodyOfSize } from './bodies.ts';

// CPU time that JSON.parse and JSON.stringify take for a body of argv[2] bytes, from its bytes and back to bytes, in
// microseconds: what a gateway would pay that does nothing cleverer. Printed on stdout.
const bytes = Buffer.from(bodyOfSize(Number(process.argv[2])));

function roundTrip(): number {
  const json = JSON.parse(bytes.toString('utf8')) as object;
  return Buffer.from(JSON.stringify({ ...json, model: 'bench-model-2026' }), 'utf8').length;
}

function cpuOf(repeats: number): number {
  const before = process.cpuUsage();
  let sum = 0;
  for (let i = 0; i < repeats; i++) sum += roundTrip();
  const { user, system } = process.cpuUsage(before);
  if (sum === 0) throw new Error('nothing was encoded');
  return (user + system) / repeats;
}

const repeats = Math.max(20, Math.round(40e6 / bytes.length));
cpuOf(repeats);
process.stdout.write(`${cpuOf(repeats)}\n`);

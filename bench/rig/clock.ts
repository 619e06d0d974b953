/**
 * Microseconds of the machine's monotonic clock: the same for the mock and the load, which are different processes.
 * performance.now() counts from the start of its own process, and no offset between two such clocks can be read at one
 * moment.
 */
export function nowMicros(): number {
  const [seconds, nanos] = process.hrtime();
  return seconds * 1e6 + nanos / 1000;
}

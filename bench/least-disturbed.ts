import { disturbedShare, type Sample } from './report/result.ts';

/**
 * Measures again what was disturbed. The least disturbed run counts, whatever its numbers are and even if something
 * failed in it: nothing else decides, so that no number is picked for being a good one.
 *
 * @param measure - Gets how often the same was measured before.
 * @param mayRepeat - Gets the same.
 */
export async function leastDisturbed(
  measure: (repeat: number) => Promise<Sample>,
  mayRepeat: (repeats: number) => boolean,
): Promise<Sample> {
  const samples = [await measure(0)];
  while (disturbanceOf(samples.at(-1)) > disturbedShare && mayRepeat(samples.length - 1)) {
    samples.push(await measure(samples.length));
  }
  const best = samples.reduce((least, sample) => (disturbanceOf(sample) < disturbanceOf(least) ? sample : least));
  return { ...best, discarded: samples.filter((sample) => sample !== best).map(({ failure }) => failure) };
}

function disturbanceOf(sample: Sample | undefined): number {
  return sample?.disturbance ?? 0;
}

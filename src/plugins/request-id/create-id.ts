import { randomBytes, randomUUID } from 'node:crypto';

/** How ids are made. */
export interface IdOptions {
  readonly algorithm: 'uuid' | 'nanoid' | 'range_id' | 'ksuid';
  /** Of the algorithm `range_id`. */
  readonly range_id: { readonly length: number; readonly char_set: string };
}

const base62 = '0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz';
const nanoidCharacters = `${base62}_-`;
const nanoidLength = 21;

/** Seconds of 1970 at which the time of a KSUID begins. https://github.com/segmentio/ksuid */
const ksuidEpoch = 1_400_000_000;
const ksuidRandomBytes = 16;
const ksuidLength = 27;

/** Makes the function that gives ids of one algorithm. */
export function createIdSource({ algorithm, range_id }: IdOptions): () => string {
  switch (algorithm) {
    case 'uuid':
      return randomUUID;
    case 'nanoid':
      return () => randomText(nanoidCharacters, nanoidLength);
    case 'range_id':
      return () => randomText(range_id.char_set, range_id.length);
    case 'ksuid':
      return () => ksuid(Math.floor(Date.now() / 1000), takeRandom(ksuidRandomBytes));
  }
}

/**
 * A KSUID: a time and random bytes in base 62, which sort by time.
 *
 * @param seconds - Since 1970.
 * @param payload - 16 bytes.
 */
export function ksuid(seconds: number, payload: Uint8Array): string {
  const head = Buffer.alloc(4);
  head.writeUInt32BE(seconds - ksuidEpoch);
  let rest = BigInt(`0x${head.toString('hex')}${Buffer.from(payload).toString('hex')}`);
  let text = '';
  while (text.length < ksuidLength) {
    text = base62.charAt(Number(rest % 62n)) + text;
    rest /= 62n;
  }
  return text;
}

const poolBytes = 4096;
let pool: Buffer = Buffer.alloc(0);
let poolAt = 0;

/** Random bytes out of a pool: asking the system for each id would cost more than all the rest. */
function takeRandom(bytes: number): Uint8Array {
  if (poolAt + bytes > pool.length) {
    pool = randomBytes(Math.max(poolBytes, bytes));
    poolAt = 0;
  }
  poolAt += bytes;
  return pool.subarray(poolAt - bytes, poolAt);
}

/** Every character of the set with the same probability. */
function randomText(characters: string, length: number): string {
  const count = characters.length;
  // Bytes from here on would favour the first characters of the set.
  const fairLimit = 256 - (256 % count);
  let text = '';
  while (text.length < length) {
    for (const byte of takeRandom(length - text.length)) if (byte < fairLimit) text += characters.charAt(byte % count);
  }
  return text;
}

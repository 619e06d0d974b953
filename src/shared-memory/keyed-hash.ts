import { hash } from 'node:crypto';

/** The first bytes of a hash that only who knows the seed can predict, one character (0 to 255) a byte. */
export type KeyedHash = (key: string) => string;

/**
 * Keys of counters come from clients. They do not know the seed, so they cannot make keys that collide.
 *
 * @param seed - Random text of a fixed length.
 */
export function createKeyedHash(seed: string): KeyedHash {
  // As a string of Latin-1 it costs half of what a Buffer does: nothing is allocated outside of the heap.
  return (key) => hash('sha256', seed + key, 'latin1');
}

/** Four bytes of a hash from `offset` on, as an int32. */
export function int32At(bytes: string, offset: number): number {
  return (
    bytes.charCodeAt(offset) |
    (bytes.charCodeAt(offset + 1) << 8) |
    (bytes.charCodeAt(offset + 2) << 16) |
    (bytes.charCodeAt(offset + 3) << 24)
  );
}

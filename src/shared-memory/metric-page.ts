/** Numbers of one series as the main thread reads them. */
export interface MetricRecord {
  /** What the writer means by it: the index of a metric. */
  readonly metric: number;
  readonly text: string;
  /** A view of the shared memory. */
  readonly cells: Float64Array;
}

const headerBytes = 64;
/** Word of the header: where the next record begins, as an offset. */
const endWord = 0;
const recordHeaderBytes = 16;
const bytesPerCell = 8;

/**
 * Numbers that one thread writes and another reads, each series under a text. Nothing is ever removed.
 *
 * ```
 * header: end | record | record | ...
 *               `-- metric, cells, bytes of text, 0: int32 | cells: float64 | text: UTF-8, padded to 8 bytes
 * ```
 *
 * A record is complete before the end moves behind it. Its cells change without locks: they have a single writer, and a
 * number of eight bytes is written at once.
 */
export class MetricPage {
  readonly #memory: SharedArrayBuffer;
  readonly #header: Int32Array;

  /** @param memory - Zeros at first, at least 64 bytes. */
  constructor(memory: SharedArrayBuffer) {
    this.#memory = memory;
    this.#header = new Int32Array(memory, 0, headerBytes / 4);
  }

  /** @returns The cells of a new record, which hold 0; null when there is no room for it. */
  claim(metric: number, cells: number, text: string): Float64Array | null {
    const bytes = Buffer.from(text, 'utf8');
    const at = this.#end();
    const textAt = at + recordHeaderBytes + cells * bytesPerCell;
    const end = Math.ceil((textAt + bytes.length) / bytesPerCell) * bytesPerCell;
    if (end > this.#memory.byteLength) return null;
    new Int32Array(this.#memory, at, 4).set([metric, cells, bytes.length, 0]);
    new Uint8Array(this.#memory, textAt, bytes.length).set(bytes);
    Atomics.store(this.#header, endWord, end);
    return new Float64Array(this.#memory, at + recordHeaderBytes, cells);
  }

  /** All records so far, in the order in which they were claimed. */
  read(): MetricRecord[] {
    const records: MetricRecord[] = [];
    const end = this.#end();
    for (let at = headerBytes; at < end;) {
      const [metric = 0, cells = 0, textBytes = 0] = new Int32Array(this.#memory, at, 4);
      const textAt = at + recordHeaderBytes + cells * bytesPerCell;
      // A copy: Buffer's own decoder does not take shared memory everywhere.
      const text = Buffer.from(new Uint8Array(this.#memory, textAt, textBytes)).toString('utf8');
      records.push({ metric, text, cells: new Float64Array(this.#memory, at + recordHeaderBytes, cells) });
      at = Math.ceil((textAt + textBytes) / bytesPerCell) * bytesPerCell;
    }
    return records;
  }

  #end(): number {
    return Atomics.load(this.#header, endWord) || headerBytes;
  }
}

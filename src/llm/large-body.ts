import type { JsonMember } from './json-scan.ts';
import { isJsonObject, parseJson, stringifySorted, type JsonObject } from './json.ts';

// An array below this size costs less to read than to keep aside.
const smallArrayBytes = 4096;

/**
 * A request body whose size makes reading all of it dear: a long conversation, mostly. Its members are known by their
 * place; `messages`, `input` and the like are read only if somebody asks for them.
 */
export class LargeBody {
  readonly bytes: Buffer;
  /** What it says, but of large arrays only their length: all that is needed to tell protocol, model and options. */
  readonly outline: JsonObject;
  readonly #members: readonly JsonMember[];
  #json: JsonObject | null = null;

  /** @param members - Of `bytes`, from `scanJsonObject`. */
  constructor(bytes: Buffer, members: readonly JsonMember[]) {
    this.bytes = bytes;
    this.#members = members;
    // Not by assignment: that would take a member named `__proto__` for the prototype.
    this.outline = Object.fromEntries(members.map((member) => [member.key, outlineOf(bytes, member)]));
  }

  /** All of it. */
  get json(): JsonObject {
    if (this.#json === null) {
      const json = parseJson(this.bytes.toString('utf8'));
      this.#json = isJsonObject(json) ? json : {};
    }
    return this.#json;
  }

  /**
   * The body with other members, everything that stays being its own bytes in its own order. Sorting the keys, as for
   * smaller bodies, would cost reading it all.
   *
   * @param changed - {@link outline} with other members: what is identical in both is not touched.
   * @throws RangeError when a new member is nested deeper than the stack allows.
   */
  encode(changed: JsonObject): Buffer {
    const pieces: Uint8Array[] = [];
    const written = new Set<string>();
    const write = (piece: Uint8Array): number => pieces.push(pieces.length === 0 ? openBrace : comma, piece);
    // A key that stands there twice means its last value: only that one is left, whatever a parser behind us would take.
    const last = new Map(this.#members.map((member) => [member.key, member]));
    for (const member of this.#members) {
      const { key, keyStart, end } = member;
      if (last.get(key) !== member || !Object.hasOwn(changed, key)) continue;
      const isUntouched = changed[key] === this.outline[key];
      write(isUntouched ? this.bytes.subarray(keyStart, end) : memberText(key, changed[key]));
      written.add(key);
    }
    for (const [key, value] of Object.entries(changed)) if (!written.has(key)) write(memberText(key, value));
    if (pieces.length === 0) pieces.push(openBrace);
    return Buffer.concat([...pieces, closeBrace]);
  }
}

const openBrace = Buffer.from('{');
const closeBrace = Buffer.from('}');
const comma = Buffer.from(',');

function outlineOf(bytes: Buffer, { start, end, elementCount }: JsonMember): unknown {
  if (elementCount !== -1 && end - start > smallArrayBytes) return Object.assign([], { length: elementCount });
  return parseJson(bytes.toString('utf8', start, end));
}

function memberText(key: string, value: unknown): Buffer {
  return Buffer.from(`${JSON.stringify(key)}:${stringifySorted(value)}`);
}

import { WeirError } from '../../base/errors.ts';
import { isJsonObject, type JsonObject } from '../json.ts';
import { toUnitVector, type UnitVector } from './unit-vector.ts';

/**
 * Reads an answer of OpenAI's embeddings API, in the order of the texts that were sent.
 * https://platform.openai.com/docs/api-reference/embeddings/object
 *
 * @param count - Of the texts.
 * @throws WeirError UPSTREAM_ANSWER for anything but one embedding of finite numbers for each text, all of one dimension.
 */
export function readEmbeddings(answer: JsonObject, count: number): UnitVector[] {
  const { data } = answer;
  if (!Array.isArray(data)) throw wrong('its member `data` is no array');
  if (data.length !== count) throw wrong(`it has ${data.length} embeddings for ${count} texts`);
  const vectors: UnitVector[] = Array.from({ length: count });
  for (const item of data) {
    const index = indexOf(item, count);
    if (vectors[index] !== undefined) throw wrong(`it has two embeddings of the index ${index}`);
    vectors[index] = vectorOf(item, index);
  }
  if (vectors.some(({ length }) => length !== vectors[0]?.length)) throw wrong('its embeddings differ in dimension');
  return vectors;
}

function indexOf(item: unknown, count: number): number {
  const index = isJsonObject(item) ? item['index'] : undefined;
  const isPlace = typeof index === 'number' && Number.isInteger(index) && index >= 0 && index < count;
  if (!isPlace) throw wrong(`an embedding has no index from 0 to ${count - 1}`);
  return index;
}

function vectorOf(item: unknown, index: number): UnitVector {
  const numbers: unknown = isJsonObject(item) ? item['embedding'] : undefined;
  const isEmbedding = Array.isArray(numbers) && numbers.length > 0 && numbers.every(Number.isFinite);
  if (!isEmbedding) throw wrong(`embedding ${index} is no array of finite numbers`);
  const vector = toUnitVector(numbers as readonly number[]);
  if (vector === null) throw wrong(`embedding ${index} has no direction`);
  return vector;
}

function wrong(what: string): WeirError {
  return new WeirError('UPSTREAM_ANSWER', [what]);
}

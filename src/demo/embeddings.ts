import { createHash } from 'node:crypto';
import type { Infer } from '../schema/infer.ts';
import { createValidator } from '../schema/validator.ts';
import { splitTokens } from './tokens.ts';

const tokenIds = { type: 'array', minItems: 1, items: { type: 'integer' } } as const;

const embeddingsRequestSchema = {
  type: 'object',
  required: ['model', 'input'],
  properties: {
    model: { type: 'string', minLength: 1 },
    input: {
      anyOf: [
        { type: 'string', minLength: 1 },
        { type: 'array', minItems: 1, maxItems: 2048, items: { type: 'string', minLength: 1 } },
        tokenIds,
        { type: 'array', minItems: 1, maxItems: 2048, items: tokenIds },
      ],
    },
    encoding_format: { type: 'string', enum: ['float', 'base64'] },
    dimensions: { type: ['integer', 'null'], minimum: 1, maximum: 3072 },
  },
} as const;

/** https://platform.openai.com/docs/api-reference/embeddings/create */
export type EmbeddingsRequest = Infer<typeof embeddingsRequestSchema>;

/** Small enough to be looked at in a terminal, large enough that different words rarely meet. */
const defaultDimensions = 256;
/** Each word leaves its mark in so many places of a vector. */
const marksPerWord = 4;

const validator = createValidator(embeddingsRequestSchema);

/** @returns The request, or one sentence that names what is wrong with it. */
export function parseEmbeddingsRequest(body: unknown): EmbeddingsRequest | string {
  return validator.check(body) ?? (body as EmbeddingsRequest);
}

/** The answer to a request. https://platform.openai.com/docs/api-reference/embeddings/object */
export function toEmbeddingsDocument(request: EmbeddingsRequest): object {
  const texts = inputTexts(request.input);
  const dimensions = request.dimensions ?? defaultDimensions;
  const tokens = texts.reduce((sum, text) => sum + splitTokens(text).length, 0);
  return {
    object: 'list',
    data: texts.map((text, index) => {
      const vector = embed(text, dimensions);
      return {
        object: 'embedding',
        index,
        embedding: request.encoding_format === 'base64' ? toBase64(vector) : vector,
      };
    }),
    model: request.model,
    usage: { prompt_tokens: tokens, total_tokens: tokens },
  };
}

/** One text for each vector. Token ids become words, for which any text will do. */
function inputTexts(input: EmbeddingsRequest['input']): string[] {
  if (typeof input === 'string') return [input];
  const isOneText = input.every((item) => typeof item === 'number');
  return isOneText
    ? [input.join(' ')]
    : input.map((item) => (typeof item === 'string' ? item : [item].flat().join(' ')));
}

/**
 * Feature hashing: texts with words in common get vectors that are near each other, so that a search over them finds
 * something sensible. The length of the vector is 1.
 */
function embed(text: string, dimensions: number): number[] {
  const vector = Array.from({ length: dimensions }, () => 0);
  for (const word of text.toLowerCase().match(/[\p{L}\p{N}]+|[^\s\p{L}\p{N}]/gu) ?? ['']) {
    const hash = createHash('sha256').update(word).digest();
    for (let mark = 0; mark < marksPerWord; mark++) {
      const bits = hash.readUInt32LE(mark * 4);
      const place = (bits >>> 1) % dimensions;
      vector[place] = (vector[place] ?? 0) + (bits % 2 === 0 ? 1 : -1);
    }
  }
  const length = Math.hypot(...vector);
  // The marks of a text may cancel each other out in a vector of few dimensions.
  if (length === 0) return vector.map((_, place) => (place === 0 ? 1 : 0));
  return vector.map((value) => Math.fround(value / length));
}

/** 32-bit floats, little endian: what OpenAI's client libraries ask for and decode. */
function toBase64(vector: readonly number[]): string {
  const bytes = Buffer.alloc(vector.length * 4);
  vector.forEach((value, place) => bytes.writeFloatLE(value, place * 4));
  return bytes.toString('base64');
}

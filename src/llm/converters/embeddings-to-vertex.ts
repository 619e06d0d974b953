import { WeirError } from '../../base/errors.ts';
import { isJsonObject, type JsonObject } from '../json.ts';
import { vertexPredict } from '../protocols/vertex-predict.ts';
import type { Conversion, Converter } from './converter.ts';

/**
 * OpenAI Embeddings for Vertex AI's text embedding models. `input`, `dimensions` and `encoding_format` are understood;
 * `model` goes into the path, and what Vertex does not know is left out.
 * https://platform.openai.com/docs/api-reference/embeddings/create
 * https://cloud.google.com/vertex-ai/generative-ai/docs/model-reference/text-embeddings-api
 */
export const embeddingsToVertex: Converter = {
  from: 'openai-embeddings',
  to: 'vertex-predict',
  droppedHeaderPrefixes: [],
  sendsApiKeyAsBearer: false,

  convertRequest(body) {
    const contents = contentsOf(body['input']);
    if (contents === null) return conversionError('input must be a string, or an array of strings or of token numbers');
    if (contents.length === 0) return conversionError('input must not be empty');

    const dimensions = body['dimensions'] ?? null;
    if (dimensions !== null && !isPositiveInteger(dimensions)) {
      return conversionError('dimensions must be an integer above 0');
    }
    const encoding = body['encoding_format'] ?? 'float';
    if (encoding !== 'float' && encoding !== 'base64') {
      return conversionError('encoding_format must be "float" or "base64"');
    }
    const clientModel = typeof body['model'] === 'string' ? body['model'] : '';
    return {
      body: {
        instances: contents.map((content) => ({ content })),
        ...(dimensions !== null && { parameters: { outputDimensionality: dimensions } }),
      },
      convertAnswer: (answer, model) =>
        toEmbeddings(answer, { model: clientModel || model || 'unknown', base64: encoding === 'base64' }),
      startStream: () => null,
    } satisfies Conversion;
  },
};

function conversionError(detail: string): WeirError {
  return new WeirError('LLM_CONVERSION', [detail]);
}

/** @returns The texts to embed, tokens as their numbers with spaces between; null for anything else. */
function contentsOf(input: unknown): string[] | null {
  if (typeof input === 'string') return [input];
  if (!Array.isArray(input)) return null;
  if (input.length === 0) return [];
  if (isTokens(input)) return [input.join(' ')];
  const contents: string[] = [];
  for (const item of input) {
    if (typeof item === 'string') contents.push(item);
    else if (isTokens(item)) contents.push(item.join(' '));
    else return null;
  }
  return contents;
}

function isTokens(value: unknown): value is number[] {
  return Array.isArray(value) && value.length > 0 && value.every((token) => typeof token === 'number');
}

function isPositiveInteger(value: unknown): boolean {
  return Number.isSafeInteger(value) && Number(value) > 0;
}

interface AnswerOptions {
  readonly model: string;
  /** Vectors as the base64 of their numbers; what OpenAI's own clients ask for unless they are told otherwise. */
  readonly base64: boolean;
}

function toEmbeddings(answer: JsonObject, { model, base64 }: AnswerOptions): JsonObject {
  const { predictions } = answer;
  if (!Array.isArray(predictions)) return toOpenaiError(answer);
  return {
    object: 'list',
    data: predictions.map((prediction, index) => {
      const values = valuesOf(prediction);
      return { object: 'embedding', index, embedding: base64 ? toBase64(values) : values };
    }),
    model,
    usage: vertexPredict.usageOf(answer)?.raw,
  };
}

function valuesOf(prediction: unknown): number[] {
  const embeddings = isJsonObject(prediction) ? prediction['embeddings'] : null;
  const values = isJsonObject(embeddings) ? embeddings['values'] : null;
  return Array.isArray(values) ? values.map((value) => (typeof value === 'number' ? value : 0)) : [];
}

/** 32-bit floats, little-endian, as OpenAI's clients read them. */
function toBase64(values: readonly number[]): string {
  const bytes = Buffer.alloc(4 * values.length);
  values.forEach((value, index) => bytes.writeFloatLE(value, 4 * index));
  return bytes.toString('base64');
}

/** From Google's `{"error":{code,message,status}}`. https://cloud.google.com/apis/design/errors#http_mapping */
function toOpenaiError(answer: JsonObject): JsonObject {
  const error = isJsonObject(answer['error']) ? answer['error'] : {};
  const { code, message, status } = error;
  return {
    error: {
      message: typeof message === 'string' ? message : 'the answer of Vertex AI has no predictions',
      type: typeof code === 'number' && code < 500 ? 'invalid_request_error' : 'server_error',
      param: null,
      code: typeof status === 'string' ? status : null,
    },
  };
}

import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { WeirError } from '../../base/errors.ts';
import type { JsonObject } from '../json.ts';
import type { Conversion } from './converter.ts';
import { embeddingsToVertex } from './embeddings-to-vertex.ts';

function convert(body: JsonObject): Conversion {
  const conversion = embeddingsToVertex.convertRequest(body);
  assert.ok(!(conversion instanceof WeirError), 'it was refused');
  return conversion;
}

const answer = {
  predictions: [
    { embeddings: { values: [0.5, -0.25], statistics: { token_count: 3, truncated: false } } },
    { embeddings: { values: [1, 0], statistics: { token_count: 4, truncated: false } } },
  ],
  metadata: { billableCharacterCount: 9 },
};

describe('an embeddings request for Vertex', () => {
  const rows: { name: string; body: JsonObject; sent: JsonObject }[] = [
    { name: 'a string is one instance', body: { input: 'a' }, sent: { instances: [{ content: 'a' }] } },
    { name: 'an empty string is left to Vertex', body: { input: '' }, sent: { instances: [{ content: '' }] } },
    {
      name: 'strings are an instance each',
      body: { input: ['a', 'é'] },
      sent: { instances: [{ content: 'a' }, { content: 'é' }] },
    },
    { name: 'tokens are joined by spaces', body: { input: [1, 22, 3] }, sent: { instances: [{ content: '1 22 3' }] } },
    {
      name: 'several token arrays, and strings among them, are an instance each',
      body: { input: [[1, 2], 'a', [3]] },
      sent: { instances: [{ content: '1 2' }, { content: 'a' }, { content: '3' }] },
    },
    {
      name: 'dimensions become outputDimensionality',
      body: { input: 'a', dimensions: 256 },
      sent: { instances: [{ content: 'a' }], parameters: { outputDimensionality: 256 } },
    },
    {
      name: 'what Vertex does not know is left out, and null is as good as absent',
      body: { input: 'a', model: 'm', user: 'u', dimensions: null, encoding_format: null, x: 1 },
      sent: { instances: [{ content: 'a' }] },
    },
  ];
  for (const { name, body, sent } of rows) it(name, () => assert.deepEqual(convert(body).body, sent));

  const badInput = 'input must be a string, or an array of strings or of token numbers';
  const refused: { body: JsonObject; message: string }[] = [
    { body: {}, message: badInput },
    { body: { input: null }, message: badInput },
    { body: { input: 5 }, message: badInput },
    { body: { input: { 0: 'a' } }, message: badInput },
    { body: { input: [1, 'a'] }, message: badInput },
    { body: { input: ['a', null] }, message: badInput },
    { body: { input: ['a', []] }, message: badInput },
    { body: { input: [['a']] }, message: badInput },
    { body: { input: [] }, message: 'input must not be empty' },
    { body: { input: 'a', dimensions: 0 }, message: 'dimensions must be an integer above 0' },
    { body: { input: 'a', dimensions: 1.5 }, message: 'dimensions must be an integer above 0' },
    { body: { input: 'a', dimensions: '256' }, message: 'dimensions must be an integer above 0' },
    { body: { input: 'a', encoding_format: 'int8' }, message: 'encoding_format must be "float" or "base64"' },
  ];
  for (const { body, message } of refused) {
    it(`${JSON.stringify(body)} is refused`, () => {
      const error = embeddingsToVertex.convertRequest(body);
      assert.ok(error instanceof WeirError);
      assert.deepEqual([error.code, error.status, error.message], ['LLM_CONVERSION', 400, message]);
    });
  }
});

describe('an answer of Vertex for an embeddings client', () => {
  it('becomes a list with usage', () => {
    assert.deepEqual(convert({ input: ['a', 'b'], model: 'm' }).convertAnswer(answer, 'effective', 200), {
      object: 'list',
      data: [
        { object: 'embedding', index: 0, embedding: [0.5, -0.25] },
        { object: 'embedding', index: 1, embedding: [1, 0] },
      ],
      model: 'm',
      usage: { prompt_tokens: 7, total_tokens: 7 },
    });
  });

  it('names the model of the client, else the effective one, else unknown', () => {
    const modelOf = (model: unknown, effective: string): unknown =>
      convert({ input: 'a', model }).convertAnswer(answer, effective, 200)['model'];
    assert.deepEqual([modelOf('m', 'e'), modelOf(7, 'e'), modelOf(undefined, '')], ['m', 'e', 'unknown']);
  });

  it('has its numbers as base64 if the client asked for that', () => {
    const vector = fc.array(fc.float({ noNaN: true }), { maxLength: 20 });
    fc.assert(
      fc.property(vector, (values) => {
        const converted = convert({ input: 'a', encoding_format: 'base64' }).convertAnswer(
          { predictions: [{ embeddings: { values } }] },
          '',
          200,
        );
        const [first] = converted['data'] as { embedding: string }[];
        const bytes = Uint8Array.from(Buffer.from(first?.embedding ?? 'none', 'base64'));
        const view = new DataView(bytes.buffer);
        assert.deepEqual(
          values.map((_, index) => view.getFloat32(4 * index, true)),
          values,
        );
        assert.equal(bytes.length, 4 * values.length);
      }),
    );
  });

  const errors: { name: string; error: unknown; expected: object }[] = [
    {
      name: 'the mistake of a client',
      error: { code: 400, message: 'bad', status: 'INVALID_ARGUMENT' },
      expected: { message: 'bad', type: 'invalid_request_error', param: null, code: 'INVALID_ARGUMENT' },
    },
    {
      name: 'a failure of the service',
      error: { code: 503, message: 'down', status: 'UNAVAILABLE' },
      expected: { message: 'down', type: 'server_error', param: null, code: 'UNAVAILABLE' },
    },
    {
      name: 'anything that is no prediction',
      error: undefined,
      expected: {
        message: 'the answer of Vertex AI has no predictions',
        type: 'server_error',
        param: null,
        code: null,
      },
    },
  ];
  for (const { name, error, expected } of errors) {
    it(`${name} becomes an error of OpenAI`, () => {
      assert.deepEqual(convert({ input: 'a' }).convertAnswer({ error }, '', 400), { error: expected });
    });
  }

  it('may hold anything without an exception, and is no stream', () => {
    const hostile = [null, 5, 'x', {}, { embeddings: 5 }, { embeddings: { values: { length: 9 }, statistics: [] } }];
    const values = [null, 'x', { valueOf: 1, toString: 1 }, [], 2];
    for (const encoding_format of ['float', 'base64']) {
      const conversion = convert({ input: 'a', encoding_format });
      const converted = conversion.convertAnswer({ predictions: [...hostile, { embeddings: { values } }] }, '', 200);
      assert.equal((converted['data'] as unknown[]).length, hostile.length + 1);
      assert.equal(conversion.startStream(''), null);
    }
  });
});

import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { detectProtocol } from './index.ts';
import { vertexPredict } from './vertex-predict.ts';

describe('vertex-predict', () => {
  it('is never what a client speaks', () => {
    assert.equal(detectProtocol('/m:predict', { instances: [{ content: 'x' }] })?.name, 'passthrough');
  });

  it('counts the tokens of all texts', () => {
    const prediction = (statistics: unknown): object => ({ embeddings: { values: [1], statistics } });
    const predictions = [prediction({ token_count: 3 }), prediction({ token_count: 4 }), prediction(null), null, 5];
    const report = vertexPredict.usageOf({ predictions });
    assert.deepEqual(
      [report?.usage.promptTokens, report?.usage.completionTokens, report?.usage.totalTokens],
      [7, 0, 7],
    );
    assert.deepEqual(report?.raw, { prompt_tokens: 7, total_tokens: 7 });
  });

  it('has no usage without predictions', () => {
    for (const predictions of [undefined, null, 5, 'x', {}]) {
      assert.equal(vertexPredict.usageOf({ predictions }), null);
    }
  });

  it('shows its texts to payload logging', () => {
    assert.deepEqual(vertexPredict.requestMessages({ instances: [1] }), [1]);
  });
});

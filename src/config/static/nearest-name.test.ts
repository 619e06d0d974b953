import assert from 'node:assert/strict';
import { test } from 'node:test';
import { nearestName } from '../../base/nearest-name.ts';

const rows: [string, string[], string | null][] = [
  ['node_listn', ['node_listen', 'router'], 'node_listen'],
  ['acces_log', ['access_log', 'access_log_buffer'], 'access_log'],
  ['hxxp', ['http', 'meta'], null],
  ['htp', ['http', 'meta'], 'http'],
  ['ssl', ['ssl'], 'ssl'],
  ['completely_different', ['node_listen'], null],
  ['x', [], null],
];
for (const [name, candidates, expected] of rows) {
  test(`${name} among ${candidates.join(', ') || 'nothing'}: ${expected ?? 'no suggestion'}`, () => {
    assert.equal(nearestName(name, candidates), expected);
  });
}

import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { Upstream } from '../config/upstream.ts';
import { listNodes } from './nodes.ts';

/** `name -> host port weight priority` of each node. */
function show(nodes: unknown, scheme: 'http' | 'https' = 'http'): string[] {
  return listNodes({ nodes } as Pick<Upstream, 'nodes'>, scheme).map(
    ({ name, origin, weight, priority }) => `${name} -> ${origin.host} ${origin.port} ${weight} ${priority}`,
  );
}

describe('nodes of an upstream', () => {
  const rows: readonly (readonly [what: string, nodes: unknown, expected: readonly string[], scheme?: 'https'])[] = [
    [
      'an object',
      { 'a.example:81': 2, '1.2.3.4:82': 0 },
      ['a.example:81 -> a.example 81 2 0', '1.2.3.4:82 -> 1.2.3.4 82 0 0'],
    ],
    ['without a port', { 'a.example': 1 }, ['a.example:80 -> a.example 80 1 0']],
    ['without a port, https', { 'a.example': 1 }, ['a.example:443 -> a.example 443 1 0'], 'https'],
    ['IPv6', { '[::1]:81': 1, '[::2]': 1 }, ['[::1]:81 -> ::1 81 1 0', '[::2]:80 -> ::2 80 1 0']],
    [
      'a list',
      [
        { host: 'a.example', port: 81, weight: 1, priority: -5, metadata: { zone: 'x' } },
        { host: '::1', weight: 3 },
        { host: '[::2]', weight: 3 },
      ],
      ['a.example:81 -> a.example 81 1 -5', '[::1]:80 -> ::1 80 3 0', '[::2]:80 -> ::2 80 3 0'],
    ],
    [
      'the same server twice has two names',
      [
        { host: 'a', port: 1, weight: 1 },
        { host: 'a', port: 1, weight: 1, priority: 1 },
      ],
      ['a:1 -> a 1 1 0', 'a:1 (2) -> a 1 1 1'],
    ],
    ['none', {}, []],
    ['absent', undefined, []],
  ];
  for (const [what, nodes, expected, scheme] of rows) {
    test(what, () => assert.deepEqual(show(nodes, scheme), expected));
  }
});

import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { SemanticRanking } from './semantic-ranking.ts';

interface Row {
  readonly what: string;
  readonly thresholds?: readonly number[];
  readonly fallback?: number;
  readonly scores: readonly number[] | null;
  readonly order: readonly number[];
  readonly matches: number;
}

const rows: readonly Row[] = [
  { what: 'the best first', scores: [0.1, 0.9, 0.5], order: [1, 2, 0], matches: 3 },
  { what: 'equals in the order of the configuration', scores: [0.5, 0.5, 0.5], order: [0, 1, 2], matches: 3 },
  { what: 'a score that is the threshold is enough', scores: [0, -0.1, -0.2], order: [0, 1, 2], matches: 1 },
  {
    what: 'a threshold of its own keeps the best out',
    thresholds: [0, 0.95, 0],
    scores: [0.1, 0.9, 0.5],
    order: [2, 0, 1],
    matches: 2,
  },
  {
    what: 'nobody above the threshold: the fallback, then the best',
    thresholds: [0.8, 0.8, 0.8],
    fallback: 2,
    scores: [0.1, 0.7, 0.5],
    order: [2, 1, 0],
    matches: 0,
  },
  {
    what: 'the fallback comes after those that match',
    thresholds: [0.4, 0.4, 0.4],
    fallback: 0,
    scores: [0.1, 0.3, 0.5],
    order: [2, 0, 1],
    matches: 1,
  },
  {
    what: 'a fallback that matches is among them',
    thresholds: [0.2, 0.2, 0.2],
    fallback: 1,
    scores: [0.1, 0.3, 0.5],
    order: [2, 1, 0],
    matches: 2,
  },
  {
    what: 'no scores: the fallback, then the order of the configuration',
    fallback: 2,
    scores: null,
    order: [2, 0, 1],
    matches: 0,
  },
  {
    what: 'a threshold of 1 is met by the example itself',
    thresholds: [1, 1, 1],
    scores: [1, 0.999999, 0],
    order: [0, 1, 2],
    matches: 1,
  },
];

describe('the order of instances', () => {
  for (const { what, thresholds = [0, 0, 0], fallback = 0, scores, order, matches } of rows) {
    test(what, () => assert.deepEqual(new SemanticRanking(thresholds, fallback).of(scores), { order, matches }));
  }
});

import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { ArithmeticSyntaxError, parseArithmetic } from './arithmetic.ts';

const values: Readonly<Record<string, number>> = { a: 7, b: 2, 'in.cached': 5 };

function valueOf(name: string): number {
  return Object.hasOwn(values, name) ? (values[name] ?? 0) : 0;
}

const results: readonly (readonly [text: string, result: number])[] = [
  ['1', 1],
  [' 1.5 ', 1.5],
  ['.5 + 5.', 5.5],
  ['1e3', 1000],
  ['2.5E-1', 0.25],
  ['0x1F', 31],
  ['a', 7],
  ['in.cached * 2', 10],
  ['a + b * 3', 13],
  ['(a + b) * 3', 27],
  ['a - b - 1', 4],
  ['a / b / 2', 1.75],
  ['a - (b - 1)', 6],
  ['a\n+\tb', 9],
  ['2 ^ 3 ^ 2', 512],
  ['-2 ^ 2', -4],
  ['(-2) ^ 2', 4],
  ['2 ^ -1', 0.5],
  ['a * -b', -14],
  ['- - a', 7],
  ['7 % 3', 1],
  ['-7 % 3', 2],
  ['7 % -3', -2],
  ['5.5 % 2', 1.5],
  ['abs(-a)', 7],
  ['ceil(a / b) + floor(a / b)', 7],
  ['max(a, b, 9) - min(a, b)', 7],
  ['max(a)', 7],
  ['math.abs(-1) + math.max(1, math.min(5, 3))', 4],
  ['math.floor (2.9)', 2],
  ['maximum + absolute', 0],
  ['1 / 0', Infinity],
];

for (const [text, result] of results) {
  test(`${JSON.stringify(text)} is ${result}`, () => {
    assert.equal(parseArithmetic(text).evaluate(valueOf), result);
  });
}

test('a name is listed once, a function is no name', () => {
  assert.deepEqual(parseArithmetic('a + max(a, b.c) * a').names, ['a', 'b.c']);
});

const refused: readonly (readonly [text: string, message: string])[] = [
  ['', 'expected a number, a name or "(" at position 1, got the end'],
  ['a +', 'expected a number, a name or "(" at position 4, got the end'],
  ['a  b', 'expected an operator or the end at position 4, got "b"'],
  ['a + * b', 'expected a number, a name or "(" at position 5, got "* b"'],
  ['(a + b', 'expected an operator or ")" at position 7, got the end'],
  ['a)', 'expected an operator or the end at position 2, got ")"'],
  ['a > b', 'expected an operator or the end at position 3, got "> b"'],
  ['+a', 'expected a number, a name or "(" at position 1, got "+a"'],
  ['1.2.3', 'expected an operator or the end at position 4, got ".3"'],
  ['0x', 'expected an operator or the end at position 2, got "x"'],
  ['"a"', 'expected a number, a name or "(" at position 1, got ""a""'],
  ['os.exit()', 'unknown function "os.exit" at position 1: expected one of abs, ceil, floor, max, min'],
  ['1 + math.huge', 'unknown function "math.huge" at position 5: expected one of abs, ceil, floor, max, min'],
  ['max + 1', 'expected "(" behind the function "max" at position 5, got "+ 1"'],
  ['max()', 'expected a number, a name or "(" at position 5, got ")"'],
  ['abs(1, 2)', 'expected an operator or ")" at position 6, got ", 2)"'],
  ['max(1; 2)', 'expected an operator, "," or ")" at position 6, got "; 2)"'],
  ['('.repeat(101), 'nested deeper than 100 levels at position 101'],
  ['-'.repeat(200), 'nested deeper than 100 levels at position 101'],
  [`2${'^2'.repeat(200)}`, 'nested deeper than 100 levels at position 201'],
  ['1+'.repeat(2048) + '1', 'expected at most 4096 characters, got 4097'],
];

for (const [text, message] of refused) {
  test(`${JSON.stringify(text.slice(0, 20))} is refused, and the message says where`, () => {
    assert.throws(() => parseArithmetic(text), { name: 'ArithmeticSyntaxError', message });
  });
}

test('the longest chain that is accepted can be evaluated', () => {
  assert.equal(parseArithmetic(`${'1+'.repeat(2047)}1`).evaluate(valueOf), 2048);
});

test('any text is either compiled, and then never throws, or refused', () => {
  const pieces = fc.constantFrom(
    '1',
    '.5',
    'a',
    'x.y',
    '+',
    '-',
    '*',
    '/',
    '%',
    '^',
    '(',
    ')',
    ',',
    'max',
    'math.',
    ' ',
  );
  const text = fc.oneof(
    fc.string(),
    fc.array(pieces, { maxLength: 20 }).map((list) => list.join('')),
  );
  fc.assert(
    fc.property(text, (candidate) => {
      try {
        assert.equal(typeof parseArithmetic(candidate).evaluate(valueOf), 'number');
      } catch (error) {
        assert.ok(error instanceof ArithmeticSyntaxError, String(error));
      }
    }),
    { numRuns: 500 },
  );
});

interface Tree {
  /** With no more parentheses than the rules of precedence ask for. */
  readonly text: string;
  /** 4: a value, 3: power, 2: signed, 1: product, 0: sum. */
  readonly rank: number;
  readonly value: number;
}

function inside(tree: Tree, leastRank: number): string {
  return tree.rank < leastRank ? `(${tree.text})` : tree.text;
}

type Build = (left: Tree, right: Tree) => Tree;

const operators: readonly Build[] = [
  (l, r) => ({ text: `${inside(l, 0)} + ${inside(r, 1)}`, rank: 0, value: l.value + r.value }),
  (l, r) => ({ text: `${inside(l, 0)} - ${inside(r, 1)}`, rank: 0, value: l.value - r.value }),
  (l, r) => ({ text: `${inside(l, 1)} * ${inside(r, 2)}`, rank: 1, value: l.value * r.value }),
  (l, r) => ({ text: `${inside(l, 1)} / ${inside(r, 2)}`, rank: 1, value: l.value / r.value }),
  (l, r) => ({ text: `${inside(l, 4)} ^ ${inside(r, 2)}`, rank: 3, value: l.value ** r.value }),
  (l) => ({ text: `-${inside(l, 2)}`, rank: 2, value: -l.value }),
  (l, r) => ({
    text: `max(${l.text}, math.min(${r.text}, 3))`,
    rank: 4,
    value: Math.max(l.value, Math.min(r.value, 3)),
  }),
  (l) => ({ text: `abs(${l.text})`, rank: 4, value: Math.abs(l.value) }),
];

const leaf: fc.Arbitrary<Tree> = fc.oneof(
  fc.integer({ min: 0, max: 20 }).map((value) => ({ text: String(value), rank: 4, value })),
  fc.constantFrom(...Object.entries(values).map(([text, value]) => ({ text, rank: 4, value }))),
);
const { tree } = fc.letrec<{ tree: Tree }>((tie) => ({
  tree: fc.oneof(
    { maxDepth: 6 },
    leaf,
    fc.tuple(fc.constantFrom(...operators), tie('tree'), tie('tree')).map(([build, l, r]) => build(l, r)),
  ),
}));

test('an expression written with as few parentheses as possible means what it was written for', () => {
  fc.assert(
    fc.property(tree, ({ text, value }) => {
      assert.equal(parseArithmetic(text).evaluate(valueOf), value, text);
    }),
    { numRuns: 500 },
  );
});

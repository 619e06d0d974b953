import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { LogFields } from '../base/log.ts';
import { WeirError } from '../base/errors.ts';
import { colourLogLine, formatLogLine } from './log-line.ts';

const epochMs = new Date(2026, 10, 21, 21, 30, 0).getTime();
const format = (message: string, fields?: LogFields) =>
  formatLogLine({ level: 'warn', writer: '1234#w2', message, fields, epochMs });
const PREFIX = '2026/11/21 21:30:00 [warn] 1234#w2: ';

const rows: readonly { title: string; message?: string; fields?: LogFields; text: string }[] = [
  { title: 'a message alone', message: 'it works', text: 'it works' },
  { title: 'plain values', fields: { port: 9080, ok: true, none: null }, text: 'm port=9080 ok=true none=null' },
  { title: 'a word', fields: { path: 'logs/access.log' }, text: 'm path=logs/access.log' },
  { title: 'a text with spaces', fields: { reason: 'no such file' }, text: 'm reason="no such file"' },
  { title: 'an empty text', fields: { reason: '' }, text: 'm reason=""' },
  { title: 'a quote and an equals sign', fields: { a: 'x"y', b: 'x=y' }, text: 'm a="x\\"y" b="x=y"' },
  { title: 'a value that is not there', fields: { a: undefined, b: 1 }, text: 'm b=1' },
  { title: 'nested data', fields: { nodes: [{ host: 'a' }] }, text: 'm nodes=[{"host":"a"}]' },
  { title: 'a credential by name', fields: { auth: { header: { 'X-My': 'v' } } }, text: 'm auth=[redacted]' },
  { title: 'a credential in the message', message: 'sent Bearer abc', text: 'sent Bearer [redacted]' },
  { title: 'token counts', fields: { prompt_tokens: 23 }, text: 'm prompt_tokens=23' },
  {
    title: 'line ends that would forge a line',
    message: 'bad\r\n2026/11/21 21:30:00 [error] 1#main: fake',
    fields: { agent: 'x\ny', 'na\nme': 1 },
    text: 'bad\\r\\n2026/11/21 21:30:00 [error] 1#main: fake agent="x\\ny" na\\nme=1',
  },
  {
    title: 'characters that drive a terminal',
    message: '\x1b[2J\x9b\u2028',
    text: '\\u001b[2J\\u009b\\u2028',
  },
  {
    title: 'a foreseen error by its message and cause',
    fields: {
      error: new WeirError('UPSTREAM_CONNECT', ['127.0.0.1:1'], { cause: new Error('connection refused') }),
    },
    text: 'm error="cannot connect to the upstream: 127.0.0.1:1 (cause: connection refused)"',
  },
];
for (const { title, message, fields, text } of rows) {
  test(`a log line writes ${title}`, () => assert.equal(format(message ?? 'm', fields), PREFIX + text));
}

test('a fault keeps its stack, in the same line', () => {
  const line = format('worker died', { error: new TypeError('x is not a function') });
  assert.match(line, /error="TypeError: x is not a function <- .*log-line\.test\.ts:\d+:\d+/);
  assert.ok(!line.includes('\n'));
});

test('a cycle does not break the log', () => {
  const conf: Record<string, unknown> = { id: 'r1' };
  conf['self'] = conf;
  assert.equal(format('m', { conf }), `${PREFIX}m conf={"id":"r1","self":"[circular]"}`);
});

test('colour marks the level and nothing else', () => {
  assert.equal(
    colourLogLine(format('[warn] m'), 'warn'),
    '2026/11/21 21:30:00 \x1b[33m[warn]\x1b[0m 1234#w2: [warn] m',
  );
});

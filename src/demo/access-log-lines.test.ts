import assert from 'node:assert/strict';
import { appendFileSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { AccessLogTail, parseAccessLogLine } from './access-log-lines.ts';

function makeFile(t: TestContext): string {
  const folder = mkdtempSync(join(tmpdir(), 'weir-tail-'));
  t.after(() => rmSync(folder, { recursive: true }));
  return join(folder, 'access.log');
}

test('a line is taken apart by its format', () => {
  const format = '$remote_addr - [$time_local] "$request_line" $status "${request_type}"';
  const line = '127.0.0.1 - [21/Nov/2026:22:09:25 +0000] "POST /v1/x?a=(b) HTTP/1.1" 200 "ai_chat"';
  assert.deepEqual(parseAccessLogLine(format, line), {
    remote_addr: '127.0.0.1',
    time_local: '21/Nov/2026:22:09:25 +0000',
    request_line: 'POST /v1/x?a=(b) HTTP/1.1',
    status: '200',
    request_type: 'ai_chat',
  });
});

test('a line of another format is not taken apart', () => {
  assert.equal(parseAccessLogLine('$status "$request_line"', '{ status: 200 }'), null);
});

test('only whole lines written after the opening are seen', async (t) => {
  const file = makeFile(t);
  appendFileSync(file, 'old\n');
  const tail = await AccessLogTail.open(file);
  appendFileSync(file, 'one\ntwo\nthr');
  assert.deepEqual(await tail.lines(2, 1000), ['one', 'two']);
});

test('lines that come late are waited for, but not for ever', async (t) => {
  const file = makeFile(t);
  const tail = await AccessLogTail.open(file);
  const timer = setTimeout(() => appendFileSync(file, 'late\n'), 60);
  t.after(() => clearTimeout(timer));
  assert.deepEqual(await tail.lines(1, 2000), ['late']);
  assert.deepEqual(await tail.lines(2, 100), ['late']);
});

import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { mkdtemp, readFile, rename, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { silentLog, type LogFields } from '../base/log.ts';
import { openLlmLog, type LlmLogRecord } from './llm-log.ts';
import { toLlmSummary, type LlmFacts } from './llm-summary.ts';

let directory: string;
before(async () => {
  directory = await mkdtemp(join(tmpdir(), 'weir-llm-log-'));
});
after(() => rm(directory, { recursive: true, force: true }));

const options = { bufferBytes: 0, log: silentLog };

const facts: LlmFacts = {
  requestModel: 'auto',
  model: 'gpt-4o',
  timeToFirstTokenMs: 1190,
  upstreamResponseTimeMs: 1204,
  promptTokens: 23,
  completionTokens: 8,
  totalTokens: 31,
  stream: false,
  toolCount: 2,
  hasToolCalls: true,
  endUserId: 'u1',
  cacheReadInputTokens: 4,
  cacheCreationInputTokens: 5,
  reasoningTokens: 6,
  contentRiskLevel: '',
};

const base = {
  timestamp: '2026-11-21T21:30:00.000Z',
  request_id: '5c5e',
  route_id: 'ai-proxy-route',
  status: 200,
} satisfies LlmLogRecord;

test('the file may hold prompts, so that nobody but its owner can read it, also after a rotation', async () => {
  const path = join(directory, 'private.log');
  const log = openLlmLog(path, options);
  log.write(base);
  await log.flush();
  assert.equal((await stat(path)).mode & 0o777, 0o600);
  await rename(path, `${path}.1`);
  log.reopen();
  assert.equal((await stat(path)).mode & 0o777, 0o600);
  await log.close();
});

test('the summary has the names and types of the loggers of APISIX', () => {
  assert.deepEqual(toLlmSummary(facts), {
    request_model: 'auto',
    model: 'gpt-4o',
    duration: '1190',
    prompt_tokens: 23,
    completion_tokens: 8,
    total_tokens: 31,
    upstream_response_time: 1204,
    stream: 'false',
    tool_count: 2,
    has_tool_calls: 'true',
    end_user_id: 'u1',
    cache_read_input_tokens: 4,
    cache_creation_input_tokens: 5,
    reasoning_tokens: 6,
    content_risk_level: '',
  });
});

test('without an answer of the provider there is no upstream time', () => {
  const summary = toLlmSummary({ ...facts, upstreamResponseTimeMs: undefined, timeToFirstTokenMs: 0 });
  assert.ok(!('upstream_response_time' in summary));
  assert.equal(summary.duration, '0');
});

test('a record is one line of JSON with exactly the parts that were asked for', async () => {
  const path = join(directory, 'lines.log');
  const log = openLlmLog(path, options);
  const records: LlmLogRecord[] = [
    { ...base, llm_summary: toLlmSummary(facts) },
    {
      ...base,
      llm_request: { messages: [{ role: 'user', content: 'two\nlines "quoted" 模' }], stream: false },
      llm_response_text: { content: 'hello\u2028' },
    },
    base,
  ];
  for (const record of records) log.write(record);
  await log.close();
  const lines = (await readFile(path, 'utf8')).trimEnd().split('\n');
  assert.deepEqual(
    lines.map((line) => JSON.parse(line)),
    records,
  );
});

test('facts are redacted, prompts and answers stay as they are', async () => {
  const path = join(directory, 'redacted.log');
  const log = openLlmLog(path, options);
  const messages = [{ role: 'user', content: 'is sk-abcdef123456 a key?', token: 'x' }];
  log.write({
    ...base,
    llm_summary: toLlmSummary({ ...facts, requestModel: 'sk-abcdef123456', endUserId: 'Bearer abc' }),
    llm_request: { messages, stream: true },
    llm_response_text: { content: 'Bearer tokens are ...' },
  });
  await log.close();
  const record = JSON.parse(await readFile(path, 'utf8'));
  assert.equal(record.llm_summary.request_model, '[redacted]');
  assert.equal(record.llm_summary.end_user_id, 'Bearer [redacted]');
  assert.equal(record.llm_summary.prompt_tokens, 23);
  assert.deepEqual(record.llm_request, { messages, stream: true });
  assert.deepEqual(record.llm_response_text, { content: 'Bearer tokens are ...' });
});

test('without a record there is no file', async () => {
  const path = join(directory, 'never.log');
  const log = openLlmLog(path, options);
  log.reopen();
  await log.flush();
  await log.close();
  assert.ok(!existsSync(path));
});

test('nothing is written after close()', async () => {
  const path = join(directory, 'closed.log');
  const log = openLlmLog(path, options);
  await log.close();
  log.write(base);
  assert.ok(!existsSync(path));
});

test('reopen() follows a rotation', async () => {
  const path = join(directory, 'rotate.log');
  const log = openLlmLog(path, options);
  log.write(base);
  await log.flush();
  await rename(path, `${path}.1`);
  log.reopen();
  log.write({ ...base, request_id: 'second' });
  await log.close();
  assert.match(await readFile(path, 'utf8'), /^\{[^\n]+"second"[^\n]+\n$/);
});

test('a file that cannot be opened costs one report, not the request, and is tried again on reopen()', async () => {
  const folder = join(directory, 'blocked');
  const path = join(folder, 'llm.log');
  await writeFile(folder, 'not a directory');
  const reports: (LogFields | undefined)[] = [];
  const log = openLlmLog(path, {
    ...options,
    log: { ...silentLog, error: (_message, fields) => void reports.push(fields) },
  });
  for (let n = 0; n < 3; n++) log.write(base);
  assert.equal(reports.length, 1);
  assert.match(String(reports[0]?.['reason']), /cannot open the log file .*llm\.log/);

  await rm(folder);
  log.reopen();
  log.write(base);
  await log.close();
  assert.equal((await readFile(path, 'utf8')).split('\n').length, 2);
});

import type * as RequestHeadModule from '../../src/http/request-head.ts';
import type { MicroBench } from './micro-bench.ts';

const head = Buffer.from(
  [
    'POST /v1/chat/completions HTTP/1.1',
    'Host: gateway.example.com',
    'Accept: application/json',
    'Content-Type: application/json',
    'User-Agent: OpenAI/JS 7.57.0',
    'X-Stainless-Lang: js',
    'X-Stainless-Package-Version: 7.57.0',
    'X-Stainless-OS: Linux',
    'X-Stainless-Arch: x64',
    'X-Stainless-Runtime: node',
    'Authorization: Bearer sk-bench-0123456789abcdef0123456789abcdef',
    'Content-Length: 228',
    'Connection: keep-alive',
    '\r\n',
  ].join('\r\n'),
  'latin1',
);

/** The head of a request as OpenAI's client sends it. */
export const headParser: MicroBench = {
  name: 'head parser, 12 fields',
  async prepare(importSource) {
    const { parseRequestHead } = await importSource<typeof RequestHeadModule>('http/request-head.ts');
    return () => parseRequestHead(head, 0, head.length);
  },
};

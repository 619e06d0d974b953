import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { WeirError } from '../base/errors.ts';
import type { Exchange } from '../http/exchange.ts';
import { whileAwaited } from './while-awaited.ts';

type Ends = { -readonly [K in 'aborted' | 'listener']: Exchange[K] };

function untilAborted(signal: AbortSignal): Promise<string> {
  const { promise, resolve } = Promise.withResolvers<string>();
  const tell = (): void => resolve((signal.reason as WeirError).code);
  if (signal.aborted) tell();
  else signal.addEventListener('abort', tell);
  return promise;
}

for (const [what, end, code] of [
  ['a client that leaves', (exchange: Ends) => exchange.listener?.onAbort?.(), 'CLIENT_CLOSED_REQUEST'],
  ['the end of the gateway', (exchange: Ends) => exchange.listener?.onCut?.(), 'SHUTTING_DOWN'],
] as const) {
  test(`${what} aborts what is done for the request`, async () => {
    const exchange: Ends = { aborted: false, listener: null };
    const pending = whileAwaited({ exchange }, untilAborted);
    end(exchange);
    assert.equal(await pending, code);
  });
}

test('what is begun for a client that has left already is aborted at once', async () => {
  const exchange: Ends = { aborted: true, listener: null };
  assert.equal(await whileAwaited({ exchange }, untilAborted), 'CLIENT_CLOSED_REQUEST');
});

test('nothing listens any more when it is done, or has failed', async () => {
  const exchange: Ends = { aborted: false, listener: null };
  assert.equal(await whileAwaited({ exchange }, () => Promise.resolve(1)), 1);
  assert.deepEqual(exchange, { aborted: false, listener: null });
  await assert.rejects(
    whileAwaited({ exchange }, () => Promise.reject(new Error('a fault'))),
    /a fault/,
  );
  assert.deepEqual(exchange, { aborted: false, listener: null });
});

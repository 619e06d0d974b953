import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Exchange } from '../http/exchange.ts';
import { compileClientAddress } from './client-address.ts';

const proxy = '10.0.0.1';

const rows: readonly (readonly [value: string | undefined, last: string, lastUntrusted?: string])[] = [
  [undefined, proxy],
  ['', proxy],
  ['unknown', proxy],
  ['1.2.3.4', '1.2.3.4'],
  ['1.2.3.4:5678', '1.2.3.4'],
  ['2001:db8::1', '2001:db8::1'],
  ['[2001:db8::1]', '2001:db8::1'],
  ['[2001:db8::1]:443', '2001:db8::1'],
  ['[1.2.3.4]:80', proxy],
  ['1.2.3.4:x', proxy],
  ['1.2.3.4:', proxy],
  ['6.6.6.6, 1.2.3.4', '1.2.3.4'],
  ['6.6.6.6, 1.2.3.4:80, 10.0.0.2:81', '10.0.0.2', '1.2.3.4'],
  ['10.0.0.3,10.0.0.2', '10.0.0.2', '10.0.0.3'],
  ['6.6.6.6, unknown, 10.0.0.2', '10.0.0.2'],
  ['1.2.3.4,', proxy],
  [',10.0.0.2', '10.0.0.2'],
];
for (const [value, last, lastUntrusted = last] of rows) {
  test(`of ${JSON.stringify(value)} the last is ${last}, the last that is not trusted ${lastUntrusted}`, () => {
    assert.deepEqual(
      [false, true].map((recursive) => clientOf(value, { recursive })),
      [last, lastUntrusted],
    );
  });
}

test('who is not trusted is the client, whatever it says', () => {
  assert.equal(clientOf('1.2.3.4', { recursive: true, from: '9.9.9.9' }), '9.9.9.9');
});

function clientOf(value: string | undefined, { recursive = false, from = proxy }): string {
  const head = { fields: { getCombined: (name: string) => (name === 'x-forwarded-for' ? value : undefined) } };
  const exchange = { connection: { remoteAddress: from }, head } as unknown as Exchange;
  return compileClientAddress('X-Forwarded-For', ['unix:', '10.0.0.0/8'], recursive)(exchange);
}

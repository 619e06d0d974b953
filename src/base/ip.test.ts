import assert from 'node:assert/strict';
import { BlockList, isIP } from 'node:net';
import { test } from 'node:test';
import fc from 'fast-check';
import { compileIpMatcher } from './ip.ts';

const cases: readonly [entries: readonly string[], address: string, expected: boolean][] = [
  [['127.0.0.1'], '127.0.0.1', true],
  [['127.0.0.1'], '127.0.0.2', false],
  [['192.168.0.0/16'], '192.168.255.1', true],
  [['192.168.0.0/16'], '192.169.0.1', false],
  [['10.1.2.3/8'], '10.255.0.1', true],
  [['0.0.0.0/0'], '255.255.255.255', true],
  [['0.0.0.0/0'], '::1', false],
  [['255.255.255.255/32'], '255.255.255.255', true],
  [['127.0.0.0/24', '10.0.0.1', '10.0.0.7'], '10.0.0.7', true],
  [['1.2.3.4'], '::ffff:1.2.3.4', true],
  [['1.2.3.4'], '::FFFF:1.2.3.4', true],
  [['1.2.3.4'], '::ffff:102:304', true],
  [['1.2.3.4'], '0:0:0:0:0:ffff:102:304', true],
  [['::ffff:1.2.3.0/120'], '1.2.3.9', true],
  [['::ffff:1.2.3.0/120'], '1.2.4.9', false],
  [['::ffff:0.0.0.0/95'], '::fffe:0:1', true],
  [['::1'], '::1', true],
  [['::1'], '0:0:0:0:0:0:0:1', true],
  [['::'], '::', true],
  [['fe80::/10'], 'fe80::1%eth0', true],
  [['fe80::/10'], 'fec0::1', false],
  [['2001:db8::/32'], '2001:0DB8:ffff::1', true],
  [['2001:db8::1'], '2001:db8:0:0:0:0:0:1', true],
  [['64:ff9b::1.2.3.4'], '64:ff9b::102:304', true],
  [['::/0'], '2001::1', true],
  [['::/0'], '1.2.3.4', false],
  [['::/0'], '::ffff:1.2.3.4', false],
  [[], '127.0.0.1', false],
  [['0.0.0.0/0', '::/0'], '', false],
  [['0.0.0.0/0', '::/0'], 'localhost', false],
  [['0.0.0.0/0', '::/0'], '1.2.3', false],
  [['0.0.0.0/0', '::/0'], '1.2.3.4.5', false],
  [['0.0.0.0/0', '::/0'], '1.2.3.256', false],
  [['0.0.0.0/0', '::/0'], '01.2.3.4', false],
  [['0.0.0.0/0', '::/0'], '1.2.3.4 ', false],
  [['0.0.0.0/0', '::/0'], '1::2::3', false],
];

for (const [entries, address, expected] of cases) {
  test(`[${entries.join(', ')}] ${expected ? 'matches' : 'does not match'} ${JSON.stringify(address)}`, () => {
    assert.equal(compileIpMatcher(entries)(address), expected);
  });
}

for (const entry of [
  '',
  'localhost',
  '1.2.3',
  '1.2.3.4/33',
  '1.2.3.4/',
  '1.2.3.4/-1',
  '1.2.3.4/8x',
  '1.2.3.4/8/8',
  '::1/129',
  '[::1]',
  'fe80::1%eth0',
  '::ffff:1.2.3.400',
  '1.2.3.4 ',
]) {
  test(`the entry ${JSON.stringify(entry)} is refused by name`, () => {
    assert.throws(
      () => compileIpMatcher(['127.0.0.1', entry]),
      (error) => error instanceof TypeError && error.message.includes(JSON.stringify(entry)),
    );
  });
}

test("agrees with Node's BlockList on random ranges and addresses", () => {
  const v6Range = fc.tuple(
    fc.ipV6().filter((address) => isIP(address) === 6),
    fc.integer({ min: 97, max: 128 }),
  );
  const ranges = fc.array(fc.oneof(fc.tuple(fc.ipV4(), fc.integer({ min: 0, max: 32 })), v6Range), { maxLength: 8 });
  const property = fc.property(ranges, fc.oneof(fc.ipV4(), fc.ipV6()), (list, address) => {
    const reference = new BlockList();
    for (const [network, prefix] of list) reference.addSubnet(network, prefix, isIP(network) === 6 ? 'ipv6' : 'ipv4');
    // Addresses from the list itself, or almost nothing would ever match.
    for (const candidate of [address, ...list.map(([network]) => network)]) {
      assert.equal(
        compileIpMatcher(list.map(([network, prefix]) => `${network}/${prefix}`))(candidate),
        reference.check(candidate, isIP(candidate) === 6 ? 'ipv6' : 'ipv4'),
        candidate,
      );
    }
  });
  fc.assert(property, { numRuns: 300 });
});

import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { scanJsonObject } from './json-scan.ts';
import type { JsonObject } from './json.ts';
import { LargeBody } from './large-body.ts';

function bodyOf(text: string): LargeBody {
  const bytes = Buffer.from(text);
  const members = scanJsonObject(bytes);
  assert.ok(members !== null);
  return new LargeBody(bytes, members);
}

const long = 'x'.repeat(5000);

describe('a large body', () => {
  it('tells everything but the contents of large arrays', () => {
    const body = bodyOf(`{"model":"é","messages":["${long}",{"a":[1]}],"tools":[1,2],"metadata":{"user_id":"u"}}`);
    assert.equal(body.outline['model'], 'é');
    assert.equal((body.outline['messages'] as unknown[]).length, 2);
    assert.deepEqual(body.outline['tools'], [1, 2]);
    assert.deepEqual(body.outline['metadata'], { user_id: 'u' });
    assert.deepEqual((body.json['messages'] as unknown[])[1], { a: [1] });
  });

  const rows: { name: string; text: string; change: (outline: JsonObject) => JsonObject; sent: string }[] = [
    {
      name: 'a member is replaced where it stands, the others keep their bytes',
      text: `{ "messages": [ "${long}" ,1e0 ],\n"model" : "B", "z":"\\u00e9" }`,
      change: (outline) => ({ ...outline, model: 'A' }),
      sent: `{"messages": [ "${long}" ,1e0 ],"model":"A","z":"\\u00e9"}`,
    },
    {
      name: 'a new member comes last, with sorted keys',
      text: '{"messages":[]}',
      change: (outline) => ({ ...outline, stream_options: { b: 1, a: null } }),
      sent: '{"messages":[],"stream_options":{"a":null,"b":1}}',
    },
    {
      name: 'a member that is taken out leaves no comma',
      text: '{"model":"B","messages":[],"stop":1}',
      change: ({ messages }) => ({ messages }),
      sent: '{"messages":[]}',
    },
    { name: 'nothing may be left', text: '{"model":"B"}', change: () => ({}), sent: '{}' },
    {
      name: 'a key that stands there twice is replaced once',
      text: '{"model":"B","n":1,"mod\\u0065l":"C"}',
      change: (outline) => ({ ...outline, model: 'A' }),
      sent: '{"n":1,"model":"A"}',
    },
    {
      name: 'numbers that no double holds survive in what stays, and in what is merged',
      text: '{"n":12345678901234567890,"o":{"n":1e400}}',
      change: (outline) => ({ ...outline, o: { ...(outline['o'] as JsonObject), a: 1 } }),
      sent: '{"n":12345678901234567890,"o":{"a":1,"n":1e400}}',
    },
  ];
  for (const { name, text, change, sent } of rows) {
    it(name, () => {
      const body = bodyOf(text);
      assert.equal(body.encode(change(body.outline)).toString(), sent);
    });
  }

  it('with other members is what an object with other members is', () => {
    const object = fc.dictionary(fc.string(), fc.jsonValue());
    fc.assert(
      fc.property(object, object, fc.array(fc.nat(20)), (client, options, removed) => {
        const body = bodyOf(JSON.stringify(client));
        const keys = Object.keys(client);
        const gone = removed.map((index) => keys[index]);
        const without = (from: JsonObject): JsonObject =>
          Object.fromEntries(Object.entries(from).filter(([key]) => !gone.includes(key)));
        const sent = body.encode({ ...without(body.outline), ...options });
        assert.deepEqual(JSON.parse(sent.toString()), JSON.parse(JSON.stringify({ ...without(client), ...options })));
      }),
    );
  });
});

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { describe, it } from 'node:test';
import { compileEndpoint, upstreamTarget } from '../endpoint.ts';
import { observeBody, StreamObserver, type AnswerFacts } from '../framing/tap.ts';
import { protocols } from '../protocols/index.ts';
import { noUsage, type Usage } from '../usage.ts';
import type { Provider } from './define-provider.ts';
import { findProvider, providerNames, providers } from './index.ts';

// test/fixtures/providers/<provider>.json: what each provider answers, in the shapes that its documentation shows.
// A provider or a protocol without fixture fails here.

interface Expected {
  readonly usage: Usage;
  readonly text: string | null;
  readonly hasToolCalls: boolean;
}

interface Fixture {
  /** Where requests go, with `override.endpoint` set to `endpoint` if there is one. */
  readonly url: string;
  readonly endpoint?: string;
  readonly json: Expected & { readonly body: object };
  readonly stream?: Expected & { readonly events: readonly (object | string)[] };
  readonly error: { readonly body: object };
}

function readFixtures(provider: Provider): Partial<Record<string, Fixture>> {
  const file = new URL(`../../../test/fixtures/providers/${provider.name}.json`, import.meta.url);
  return JSON.parse(readFileSync(file, 'utf8')) as Partial<Record<string, Fixture>>;
}

function assertFacts(facts: AnswerFacts, expected: Expected, captureText: boolean): void {
  assert.deepEqual(facts.usage, expected.usage);
  assert.equal(facts.hasToolCalls, expected.hasToolCalls);
  assert.equal(facts.text, captureText ? expected.text : null);
}

const nothing: Expected = { usage: noUsage, text: null, hasToolCalls: false };

for (const provider of providers) {
  describe(`provider ${provider.name}`, () => {
    const fixtures = readFixtures(provider);

    it('has no fixture for a protocol that it does not speak', () => {
      const { source, ...own } = fixtures;
      assert.equal(typeof source, 'string');
      assert.deepEqual(Object.keys(own).sort(), Object.keys(provider.protocols).sort());
    });

    for (const protocol of protocols.filter(({ name }) => Object.hasOwn(provider.protocols, name))) {
      const fixture = fixtures[protocol.name];
      if (fixture === undefined) {
        it(`${protocol.name} has a fixture`, () => assert.fail(`add ${protocol.name} to ${provider.name}.json`));
        continue;
      }

      it(`${protocol.name} requests go to its address`, () => {
        const endpoint = compileEndpoint({ provider, endpoint: fixture.endpoint });
        const target = upstreamTarget(endpoint, protocol, '/anything?x=1');
        assert.equal(`${endpoint.scheme}://${endpoint.hostHeader}${target}`, fixture.url);
      });

      it(`${protocol.name} has a stream fixture exactly if the protocol streams`, () => {
        assert.equal(fixture.stream !== undefined, protocol.isStreaming({ stream: true }));
      });

      for (const captureText of [false, true]) {
        const how = captureText ? 'with text' : 'without text';

        it(`${protocol.name} answers are read ${how}`, () => {
          const { body, ...expected } = fixture.json;
          assertFacts(observeBody(protocol, Buffer.from(JSON.stringify(body)), { captureText }), expected, captureText);
        });

        it(`${protocol.name} errors say nothing about usage ${how}`, () => {
          const body = Buffer.from(JSON.stringify(fixture.error.body));
          assertFacts(observeBody(protocol, body, { captureText }), nothing, captureText);
        });

        if (fixture.stream === undefined) continue;
        const { events, ...expected } = fixture.stream;

        it(`${protocol.name} streams are read ${how}`, () => {
          const observer = new StreamObserver(protocol, { captureText });
          for (const event of events) {
            const data = typeof event === 'string' ? event : JSON.stringify(event);
            observer.chunk(Buffer.from(`data: ${data}\n\n`));
          }
          observer.end();
          assertFacts(observer, expected, captureText);
          assert.deepEqual([observer.events, observer.sawDone], [events.length, true]);
        });
      }
    }
  });
}

it('every provider is found by its name, and nothing else is', () => {
  assert.deepEqual(
    providerNames.map((name) => findProvider(name)),
    [...providers],
  );
  assert.equal(findProvider('toString'), undefined);
});

it('every provider is at most sixty lines', () => {
  for (const { name } of providers) {
    const lines = readFileSync(new URL(`./${name}.ts`, import.meta.url), 'utf8').split('\n').length;
    assert.ok(lines <= 60, `${name}.ts has ${lines} lines`);
  }
});

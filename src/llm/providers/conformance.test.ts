import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { describe, it } from 'node:test';
import { WeirError } from '../../base/errors.ts';
import { compileEndpoint, upstreamTarget } from '../endpoint.ts';
import { AwsEventSplitter, encodeAwsEvent } from '../framing/aws-event-stream.ts';
import { observeBody, StreamObserver, type AnswerFacts } from '../framing/tap.ts';
import { protocols } from '../protocols/index.ts';
import { noUsage, type Usage } from '../usage.ts';
import type { Provider, ProviderConf } from './define-provider.ts';
import { findProvider, providerNames, providers } from './index.ts';

// test/fixtures/providers/<provider>.json: what each provider answers, in the shapes that its documentation shows.
// A provider or a protocol without fixture fails here.

interface Expected {
  readonly usage: Usage;
  readonly text: string | null;
  readonly hasToolCalls: boolean;
}

/** Data of an event without name (as it is, or as JSON), or an event with its name. */
type FixtureEvent = string | { readonly event?: string; readonly data?: object };

interface Stream extends Expected {
  readonly events: readonly FixtureEvent[];
  /** Default: server-sent events. */
  readonly framing?: 'aws-event-stream';
}

interface Fixture {
  /** Where requests go, with `endpoint` as `override.endpoint`, `conf` as `provider_conf` and `model` in effect. */
  readonly url: string;
  /** Where requests for a stream go. Default: the same. */
  readonly streamUrl?: string;
  readonly endpoint?: string;
  readonly conf?: ProviderConf;
  readonly model?: string;
  readonly json: Expected & { readonly body: object };
  readonly stream?: Stream;
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

/** Shows the observer a stream in the framing in which the provider sends it. */
function observe(observer: StreamObserver, { events, framing }: Stream): void {
  const splitter = new AwsEventSplitter((event) => observer.event(event));
  for (const event of events) {
    const { event: name, data } = typeof event === 'string' ? { event: undefined, data: event } : toNamed(event);
    const text = typeof data === 'string' ? data : JSON.stringify(data);
    if (framing === 'aws-event-stream') {
      const headers = { ':event-type': name ?? '', ':content-type': 'application/json', ':message-type': 'event' };
      splitter.push(encodeAwsEvent({ headers, payload: text }));
    } else {
      observer.chunk(Buffer.from(`${name === undefined ? '' : `event: ${name}\n`}data: ${text}\n\n`));
    }
  }
  observer.end();
  assert.deepEqual([splitter.failure, splitter.betweenEvents], [null, true]);
}

function toNamed(event: Exclude<FixtureEvent, string>): { event: string | undefined; data: object } {
  return event.event !== undefined && event.data !== undefined
    ? { event: event.event, data: event.data }
    : { event: undefined, data: event };
}

for (const provider of providers) {
  describe(`provider ${provider.name}`, () => {
    const fixtures = readFixtures(provider);

    it('has no fixture for a protocol that it does not speak', () => {
      const { source, ...own } = fixtures;
      assert.equal(typeof source, 'string');
      assert.deepEqual(Object.keys(own).sort(), Object.keys(provider.protocols).sort());
    });

    for (const name of Object.keys(provider.protocols)) {
      const protocol = protocols.find((candidate) => candidate.name === name);
      const fixture = fixtures[name];
      if (protocol === undefined || fixture === undefined) {
        it(`${name} has a definition and a fixture`, () =>
          assert.fail(`define it, and add it to ${provider.name}.json`));
        continue;
      }

      for (const stream of [false, true]) {
        it(`${name} requests for ${stream ? 'streams' : 'whole answers'} go to its address`, () => {
          const endpoint = compileEndpoint({ provider, providerConf: fixture.conf, endpoint: fixture.endpoint });
          const call = { model: fixture.model ?? '', stream };
          const target = upstreamTarget(endpoint, protocol, '/anything?x=1', call);
          const url = stream ? (fixture.streamUrl ?? fixture.url) : fixture.url;
          assert.ok(!(target instanceof WeirError));
          assert.equal(`${endpoint.scheme}://${endpoint.hostHeader}${target}`, url);
        });
      }

      it(`${name} has a stream fixture exactly if the protocol streams`, () => {
        assert.equal(fixture.stream !== undefined, protocol.isStreaming({ stream: true }));
      });

      for (const captureText of [false, true]) {
        const how = captureText ? 'with text' : 'without text';

        it(`${name} answers are read ${how}`, () => {
          const { body, ...expected } = fixture.json;
          assertFacts(observeBody(protocol, Buffer.from(JSON.stringify(body)), { captureText }), expected, captureText);
        });

        it(`${name} errors say nothing about usage ${how}`, () => {
          const body = Buffer.from(JSON.stringify(fixture.error.body));
          assertFacts(observeBody(protocol, body, { captureText }), nothing, captureText);
        });

        const { stream } = fixture;
        if (stream === undefined) continue;

        it(`${name} streams are read ${how}`, () => {
          const observer = new StreamObserver(protocol, { captureText });
          observe(observer, stream);
          assertFacts(observer, stream, captureText);
          assert.deepEqual([observer.events, observer.sawDone, observer.failed], [stream.events.length, true, false]);
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

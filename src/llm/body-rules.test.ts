import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { applyBodyRules, compileBodyRules, withoutMembers } from './body-rules.ts';
import { parseJson, stringifySorted, type JsonObject } from './json.ts';
import type { ProtocolName } from './protocols/protocol.ts';
import { findProvider, providers, type ProviderName } from './providers/index.ts';

type Override = Parameters<typeof compileBodyRules>[0]['override'];

interface Settings {
  provider?: ProviderName;
  protocol?: ProtocolName;
  options?: JsonObject;
  override?: Override;
}

function apply(client: string, settings: Settings): { before: JsonObject; after: JsonObject } {
  const { provider: name = 'openai', protocol = 'openai-chat', options, override } = settings;
  const provider = findProvider(name);
  assert.ok(provider !== undefined);
  const rules = compileBodyRules({ provider, options, override });
  const before = parseJson(client) as JsonObject;
  const text = JSON.stringify(before);
  const after = applyBodyRules(before, rules.options, rules.byProtocol?.[protocol]);
  assert.equal(JSON.stringify(before), text, 'the body of the client is never written to');
  return { before, after };
}

describe('llm_options.max_tokens', () => {
  const rows: [ProviderName, ProtocolName, string][] = [
    ['openai', 'openai-chat', '{"max_completion_tokens":9}'],
    ['openai', 'openai-responses', '{"max_output_tokens":9,"max_tokens":1}'],
    ['openai', 'openai-embeddings', '{"max_tokens":1}'],
    ['openai', 'passthrough', '{"max_tokens":1}'],
    ['openai-compatible', 'openai-chat', '{"max_tokens":9}'],
    ['openai-compatible', 'openai-responses', '{"max_output_tokens":9,"max_tokens":1}'],
    ['azure-openai', 'openai-chat', '{"max_tokens":9}'],
    ['deepseek', 'openai-chat', '{"max_tokens":9}'],
    ['aimlapi', 'openai-chat', '{"max_tokens":9}'],
    ['openrouter', 'openai-chat', '{"max_tokens":9}'],
    ['gemini', 'openai-chat', '{"max_completion_tokens":9}'],
    ['vertex-ai', 'openai-chat', '{"max_completion_tokens":9}'],
    ['vertex-ai', 'vertex-predict', '{"max_tokens":1}'],
    ['anthropic', 'openai-chat', '{"max_tokens":9}'],
    ['anthropic', 'anthropic-messages', '{"max_tokens":9}'],
    ['bedrock', 'bedrock-converse', '{"inferenceConfig":{"maxTokens":9},"max_tokens":1}'],
  ];
  for (const [provider, protocol, sent] of rows) {
    it(`turns max_tokens 1 of the client into ${sent} for ${protocol} of ${provider}`, () => {
      const override = { llm_options: { max_tokens: 9 } };
      assert.equal(stringifySorted(apply('{"max_tokens":1}', { provider, protocol, override }).after), sent);
    });
  }

  const bedrockRows: [string, string][] = [
    ['{"inferenceConfig":{"maxTokens":1,"topP":0.5}}', '{"inferenceConfig":{"maxTokens":9,"topP":0.5}}'],
    ['{"inferenceConfig":"x"}', '{"inferenceConfig":{"maxTokens":9}}'],
    ['{"inferenceConfig":[1]}', '{"inferenceConfig":{"maxTokens":9}}'],
    ['{"inferenceConfig":9007199254740993}', '{"inferenceConfig":{"maxTokens":9}}'],
    ['{"inferenceConfig":null}', '{"inferenceConfig":{"maxTokens":9}}'],
  ];
  for (const [client, sent] of bedrockRows) {
    it(`keeps the rest of inferenceConfig: ${client}`, () => {
      const settings: Settings = {
        provider: 'bedrock',
        protocol: 'bedrock-converse',
        override: { llm_options: { max_tokens: 9 } },
      };
      assert.equal(stringifySorted(apply(client, settings).after), sent);
    });
  }

  for (const { name } of providers.filter((provider) => 'openai-chat' in provider.protocols)) {
    it(`is the only limit that ${name} gets`, () => {
      const { after } = apply('{"max_tokens":100,"max_completion_tokens":100}', {
        provider: name,
        override: { llm_options: { max_tokens: 9 } },
      });
      assert.deepEqual(Object.values(after), [9]);
    });
  }

  it('wins over options', () => {
    const { after } = apply('{}', {
      provider: 'deepseek',
      options: { max_tokens: 5 },
      override: { llm_options: { max_tokens: 9 } },
    });
    assert.deepEqual(after, { max_tokens: 9 });
  });

  it('changes nothing where the client asks for the same', () => {
    const chat = apply('{"max_completion_tokens":9}', { override: { llm_options: { max_tokens: 9 } } });
    assert.equal(chat.after, chat.before);
    const converse = apply('{"inferenceConfig":{"maxTokens":9}}', {
      provider: 'bedrock',
      protocol: 'bedrock-converse',
      override: { llm_options: { max_tokens: 9 } },
    });
    assert.equal(converse.after, converse.before);
  });
});

interface MergeRow {
  name: string;
  client: string;
  added: string;
  filled: string;
  forced: string;
}

const merges: MergeRow[] = [
  {
    name: 'a missing member is added',
    client: '{"a":1}',
    added: '{"b":2}',
    filled: '{"a":1,"b":2}',
    forced: '{"a":1,"b":2}',
  },
  {
    name: 'a present one is a matter of force',
    client: '{"a":1}',
    added: '{"a":2}',
    filled: '{"a":1}',
    forced: '{"a":2}',
  },
  {
    name: 'objects are merged at every depth',
    client: '{"a":{"b":{"c":1}}}',
    added: '{"a":{"b":{"c":2,"d":3},"e":4}}',
    filled: '{"a":{"b":{"c":1,"d":3},"e":4}}',
    forced: '{"a":{"b":{"c":2,"d":3},"e":4}}',
  },
  {
    name: 'arrays are whole values',
    client: '{"stop":["a","b"]}',
    added: '{"stop":["c"]}',
    filled: '{"stop":["a","b"]}',
    forced: '{"stop":["c"]}',
  },
  {
    name: 'an object and something else are not merged',
    client: '{"a":{"x":1},"b":1,"c":[1]}',
    added: '{"a":2,"b":{"y":1},"c":{"0":2}}',
    filled: '{"a":{"x":1},"b":1,"c":[1]}',
    forced: '{"a":2,"b":{"y":1},"c":{"0":2}}',
  },
  {
    name: 'an explicit null is there',
    client: '{"a":null}',
    added: '{"a":{"b":1}}',
    filled: '{"a":null}',
    forced: '{"a":{"b":1}}',
  },
  { name: 'null can be forced', client: '{"a":1}', added: '{"a":null}', filled: '{"a":1}', forced: '{"a":null}' },
  {
    name: 'a number of many digits is a plain value',
    client: '{"a":9007199254740993}',
    added: '{"a":{"b":1}}',
    filled: '{"a":9007199254740993}',
    forced: '{"a":{"b":1}}',
  },
  {
    name: 'members named like parts of Object are plain members',
    client: '{"__proto__":{"a":1}}',
    added: '{"__proto__":{"a":2,"b":3},"constructor":{"prototype":{"x":1}},"toString":"x"}',
    filled: '{"__proto__":{"a":1,"b":3},"constructor":{"prototype":{"x":1}},"toString":"x"}',
    forced: '{"__proto__":{"a":2,"b":3},"constructor":{"prototype":{"x":1}},"toString":"x"}',
  },
  {
    name: 'a __proto__ that only the configuration has is a plain member',
    client: '{}',
    added: '{"__proto__":{"polluted":true}}',
    filled: '{"__proto__":{"polluted":true}}',
    forced: '{"__proto__":{"polluted":true}}',
  },
];

describe('request_body', () => {
  for (const { name, client, added, filled, forced } of merges) {
    for (const force of [false, true]) {
      it(`${name}, ${force ? 'with' : 'without'} force`, () => {
        const override = {
          request_body: { 'openai-chat': JSON.parse(added) as JsonObject },
          request_body_force_override: force,
        };
        const { before, after } = apply(client, { override });
        const sent = force ? forced : filled;
        assert.equal(stringifySorted(after), sent);
        assert.equal(after === before, sent === client);
        assert.equal('polluted' in {}, false);
      });
    }
  }

  it('is looked up by the protocol in which the provider is called', () => {
    const override = {
      request_body: { 'openai-chat': { a: 1 }, passthrough: { b: 2 }, 'anthropic-messages': { c: 3 } },
    };
    assert.deepEqual(apply('{}', { override, protocol: 'openai-chat' }).after, { a: 1 });
    assert.deepEqual(apply('{}', { override, protocol: 'passthrough' }).after, { b: 2 });
    assert.deepEqual(apply('{}', { override, protocol: 'openai-embeddings' }).after, {});
  });

  it('comes after options and llm_options', () => {
    const override = {
      llm_options: { max_tokens: 9 },
      request_body: { 'openai-chat': { model: 'C', max_completion_tokens: 7, seed: 1 } },
    };
    const settings = { options: { model: 'A' }, override };
    assert.deepEqual(apply('{"model":"B"}', settings).after, { model: 'A', max_completion_tokens: 9, seed: 1 });
    const forced = { ...settings, override: { ...override, request_body_force_override: true } };
    assert.deepEqual(apply('{"model":"B"}', forced).after, { model: 'C', max_completion_tokens: 7, seed: 1 });
  });

  it('does not touch an array', () => {
    const { before, after } = apply('[1]', {
      protocol: 'passthrough',
      override: { request_body: { passthrough: { a: 1 } } },
    });
    assert.equal(after, before);
  });
});

it('a configuration without overrides has no rules by protocol', () => {
  const provider = findProvider('openai');
  assert.ok(provider !== undefined);
  assert.deepEqual(compileBodyRules({ provider }), { options: {}, removesModel: false });
});

it('members are taken out without losing one named __proto__', () => {
  const body = JSON.parse('{"__proto__":1,"model":"m","stream":true,"a":2}') as JsonObject;
  assert.equal(stringifySorted(withoutMembers(body, ['model', 'stream'])), '{"__proto__":1,"a":2}');
  assert.equal(withoutMembers(body, ['other']), body);
});

import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { WeirError, type ErrorCode } from '../base/errors.ts';
import { compileBodyRules, type BodyRules } from './body-rules.ts';
import type { JsonObject } from './json.ts';
import { bedrockConverse } from './protocols/bedrock-converse.ts';
import { openaiChat } from './protocols/openai-chat.ts';
import { openaiEmbeddings } from './protocols/openai-embeddings.ts';
import { passthrough } from './protocols/passthrough.ts';
import type { Protocol } from './protocols/protocol.ts';
import { vertexPredict } from './protocols/vertex-predict.ts';
import { findProvider, type ProviderName } from './providers/index.ts';
import {
  bodyFromJson,
  isJsonContentType,
  parseRequestBody,
  shapeBody,
  type RequestBody,
  type ShapedBody,
} from './request-body.ts';

function parse(text: string): RequestBody {
  const body = parseRequestBody(Buffer.from(text));
  assert.ok(!(body instanceof WeirError));
  return body;
}

function shape(text: string, rules: Partial<BodyRules> = {}, protocol: Protocol = openaiChat): ShapedBody {
  const shaped = shapeBody({ options: {}, removesModel: false, ...rules }, protocol, parse(text));
  assert.ok(!(shaped instanceof WeirError));
  return shaped;
}

describe('content type', () => {
  const rows: [string | undefined, boolean][] = [
    ['application/json', true],
    ['application/json; charset=utf-8', true],
    [undefined, true],
    ['text/plain', false],
    ['Application/JSON', false],
    ['', false],
    ['multipart/form-data; boundary=application/json', false],
  ];
  for (const [contentType, ok] of rows) {
    it(`V5 ${contentType ?? 'none'} is ${ok ? '' : 'not '}read as JSON`, () => {
      assert.equal(isJsonContentType(contentType), ok);
    });
  }
});

describe('a request body', () => {
  const rows: { name: string; bytes: string | Uint8Array; code: ErrorCode; status: number }[] = [
    { name: 'that is empty', bytes: '', code: 'LLM_BODY_EMPTY', status: 400 },
    { name: 'that is no JSON', bytes: 'hello', code: 'LLM_BODY_SYNTAX', status: 400 },
    { name: 'that stops in the middle', bytes: '{"a":', code: 'LLM_BODY_SYNTAX', status: 400 },
    { name: 'with something behind it', bytes: '{"a":1} x', code: 'LLM_BODY_SYNTAX', status: 400 },
    { name: 'that is not UTF-8', bytes: Buffer.from('{"a":"\xff"}', 'latin1'), code: 'LLM_BODY_SYNTAX', status: 400 },
    { name: 'that begins with a byte order mark', bytes: '\ufeff{"a":1}', code: 'LLM_BODY_SYNTAX', status: 400 },
    { name: 'that is a number', bytes: '5', code: 'LLM_NO_PROTOCOL', status: 400 },
    { name: 'that is a string', bytes: '"messages"', code: 'LLM_NO_PROTOCOL', status: 400 },
    { name: 'that is null', bytes: 'null', code: 'LLM_NO_PROTOCOL', status: 400 },
  ];
  for (const { name, bytes, code, status } of rows) {
    it(`${name} is refused with ${status}`, () => {
      const error = parseRequestBody(Buffer.from(bytes));
      assert.ok(error instanceof WeirError);
      assert.deepEqual([error.code, error.status], [code, status]);
    });
  }

  it('says what is wrong with it in the words of the specification', () => {
    const texts = ['', '{"a":1'].map((text) => {
      const error = parseRequestBody(Buffer.from(text));
      return error instanceof WeirError ? error.message : '';
    });
    assert.equal(texts[0], 'could not get body: request body is empty');
    assert.match(texts[1] ?? '', /^could not parse JSON request body: Expected/);
  });

  for (const [what, open, close] of [
    ['an array', '[', ']'],
    ['an object', '{"a":', '}'],
  ] as const) {
    it(`${what} in more than 1000 levels is refused, small or large`, () => {
      for (const depth of [1500, 20_000]) {
        for (const body of [`{"messages":${open.repeat(depth)}1${close.repeat(depth)}}`, open.repeat(depth)]) {
          const error = parseRequestBody(Buffer.from(body));
          assert.ok(error instanceof WeirError);
          assert.deepEqual([error.code, error.status], ['LLM_BODY_SYNTAX', 400]);
        }
      }
    });
  }

  it('may be a view into a larger buffer', () => {
    const bytes = Buffer.from('xx{"messages":[]}yy').subarray(2, -2);
    const body = parseRequestBody(new Uint8Array(bytes.buffer, bytes.byteOffset, bytes.length));
    assert.ok(!(body instanceof WeirError));
    assert.deepEqual([body.bytes, body.json], [new Uint8Array(bytes), { messages: [] }]);
  });
});

function rulesOf(
  name: ProviderName,
  settings: Omit<Parameters<typeof compileBodyRules>[0], 'provider'> = {},
): BodyRules {
  const provider = findProvider(name);
  assert.ok(provider !== undefined);
  return compileBodyRules({ provider, ...settings });
}

interface Row {
  name: string;
  client: string;
  rules?: Partial<BodyRules>;
  protocol?: Protocol;
  /** Text of the body for the provider; undefined: the bytes of the client. */
  sent?: string;
  facts?: Partial<ShapedBody>;
}

const odd = '{ "temperature":1.0 ,\n\t"model" : "B",  "messages":[] , "messages":[ ] }';

const rows: Row[] = [
  {
    name: 'V1 options win over the client',
    client: '{"model":"B","temperature":0,"messages":[]}',
    rules: { options: { model: 'A', temperature: 1 } },
    sent: '{"messages":[],"model":"A","temperature":1}',
    facts: { model: 'A', requestModel: 'B', stream: false },
  },
  { name: 'V2 what nobody changes goes out as it came', client: odd, facts: { model: 'B', requestModel: 'B' } },
  {
    name: 'options that the client sent already change nothing',
    client: '{"stop":["a",{"b":1}],"model":"A","messages":[]}',
    rules: { options: { model: 'A', stop: ['a', { b: 1 }] } },
  },
  {
    name: 'an option that the client sent with another value of the same look is a change',
    client: '{"n":"1","messages":[]}',
    rules: { options: { n: 1 } },
    sent: '{"messages":[],"n":1}',
  },
  {
    name: 'nested options replace whole values',
    client: '{"messages":[],"response_format":{"type":"text","x":1}}',
    rules: { options: { response_format: { type: 'json_object' } } },
    sent: '{"messages":[],"response_format":{"type":"json_object"}}',
  },
  {
    name: 'explicit nulls and empty arrays survive encoding, and keys are sorted throughout',
    client: '{"stop":null,"tools":[],"messages":[{"role":"user","content":null}]}',
    rules: { options: { model: 'A' } },
    sent: '{"messages":[{"content":null,"role":"user"}],"model":"A","stop":null,"tools":[]}',
    facts: { requestModel: '', model: 'A' },
  },
  {
    name: 'integers beyond 2^53 survive encoding',
    client: '{"seed":9007199254740993,"messages":[]}',
    rules: { options: { model: 'A' } },
    sent: '{"messages":[],"model":"A","seed":9007199254740993}',
  },
  {
    name: 'V3 a stream reports its usage whatever the client says',
    client: '{"stream":true,"stream_options":{"include_usage":false},"messages":[]}',
    sent: '{"messages":[],"stream":true,"stream_options":{"include_usage":true}}',
    facts: { stream: true },
  },
  ...['1', '"true"', '"on"'].map((value) => ({
    name: `a stream that is asked for with ${value}, which some providers take for true, reports its usage`,
    client: `{"stream":${value},"messages":[]}`,
    sent: `{"messages":[],"stream":${value},"stream_options":{"include_usage":true}}`,
    facts: { stream: true },
  })),
  ...['false', 'null'].map((value) => ({
    name: `stream ${value} goes out as it came`,
    client: `{"stream":${value}, "messages":[]}`,
    facts: { stream: false },
  })),
  {
    name: 'the other stream options of the client stay',
    client: '{"stream":true,"stream_options":{"include_obfuscation":false},"messages":[]}',
    sent: '{"messages":[],"stream":true,"stream_options":{"include_obfuscation":false,"include_usage":true}}',
  },
  {
    name: 'a stream whose usage is asked for already goes out as it came',
    client: '{"stream":true, "stream_options":{"include_usage":true}, "messages":[]}',
    facts: { stream: true },
  },
  {
    name: 'stream_options in options win',
    client: '{"stream":true,"messages":[]}',
    rules: { options: { stream_options: { include_usage: false } } },
    sent: '{"messages":[],"stream":true,"stream_options":{"include_usage":false}}',
  },
  {
    name: 'V4 a forced stream is a stream everywhere',
    client: '{"messages":[]}',
    rules: { options: { stream: true } },
    sent: '{"messages":[],"stream":true,"stream_options":{"include_usage":true}}',
    facts: { stream: true },
  },
  {
    name: 'a stream that options forbid is none',
    client: '{"messages":[],"stream":true}',
    rules: { options: { stream: false } },
    sent: '{"messages":[],"stream":false}',
    facts: { stream: false },
  },
  {
    name: 'embeddings never stream',
    client: '{"input":"x","stream":true}',
    protocol: openaiEmbeddings,
    facts: { stream: false },
  },
  {
    name: 'a passthrough stream gets no stream_options',
    client: '{"prompt":"x","stream":true}',
    protocol: passthrough,
    facts: { stream: true },
  },
  {
    name: 'options reach embeddings too',
    client: '{"input":"hello world"}',
    rules: { options: { model: 'text-embedding-3-small', encoding_format: 'float' } },
    protocol: openaiEmbeddings,
    sent: '{"encoding_format":"float","input":"hello world","model":"text-embedding-3-small"}',
  },
  {
    name: 'V35 no model is sent where the provider takes none',
    client: '{"model":"B","messages":[]}',
    rules: { removesModel: true },
    sent: '{"messages":[]}',
    facts: { model: 'B', requestModel: 'B' },
  },
  {
    name: 'V35 nor that of options, which is still the model in effect',
    client: '{"messages":[]}',
    rules: { removesModel: true, options: { model: 'A' } },
    sent: '{"messages":[]}',
    facts: { model: 'A', requestModel: '' },
  },
  { name: 'V35 a body without model goes out as it came', client: '{"messages": []}', rules: { removesModel: true } },
  {
    name: 'a filled array is passed on as it is',
    client: '[1, 2]',
    rules: { options: { model: 'A' } },
    protocol: passthrough,
    facts: { model: '', stream: false },
  },
  {
    name: 'members named like parts of Object are plain members',
    client: '{"__proto__":{"stream":true},"constructor":1,"messages":[]}',
    rules: { options: { toString: 'x' } },
    sent: '{"__proto__":{"stream":true},"constructor":1,"messages":[],"toString":"x"}',
    facts: { stream: false },
  },
  {
    name: 'a stream that request_body forces is a stream everywhere',
    client: '{"messages":[],"stream":false}',
    rules: rulesOf('openai', {
      override: { request_body: { 'openai-chat': { stream: true } }, request_body_force_override: true },
    }),
    sent: '{"messages":[],"stream":true,"stream_options":{"include_usage":true}}',
    facts: { stream: true },
  },
  {
    name: 'request_body fills stream_options after the protocol has asked for usage',
    client: '{"messages":[],"stream":true}',
    rules: rulesOf('openai', {
      override: {
        request_body: { 'openai-chat': { stream_options: { include_usage: false, include_obfuscation: false } } },
      },
    }),
    sent: '{"messages":[],"stream":true,"stream_options":{"include_obfuscation":false,"include_usage":true}}',
  },
  {
    name: 'a model out of request_body is the model in effect',
    client: '{"messages":[]}',
    rules: rulesOf('openai', { override: { request_body: { 'openai-chat': { model: 'C' } } } }),
    sent: '{"messages":[],"model":"C"}',
    facts: { model: 'C', requestModel: '' },
  },
  {
    name: 'V35 a model out of request_body is not sent either',
    client: '{"messages":[]}',
    rules: rulesOf('azure-openai', { override: { request_body: { 'openai-chat': { model: 'C' } } } }),
    facts: { model: 'C' },
  },
  {
    name: 'bedrock gets neither model nor stream',
    client: '{"model":"B","stream":true,"messages":[]}',
    rules: rulesOf('bedrock'),
    protocol: bedrockConverse,
    sent: '{"messages":[]}',
    facts: { stream: true, model: 'B', requestModel: 'B' },
  },
  {
    name: 'bedrock gets no stream that is false',
    client: '{"stream":false,"messages":[]}',
    rules: rulesOf('bedrock'),
    protocol: bedrockConverse,
    sent: '{"messages":[]}',
    facts: { stream: false },
  },
  {
    name: 'bedrock gets no stream that options force',
    client: '{"messages":[]}',
    rules: rulesOf('bedrock', { options: { stream: true, model: 'A' } }),
    protocol: bedrockConverse,
    facts: { stream: true, model: 'A' },
  },
  {
    name: 'bedrock gets a plain body as it came',
    client: '{"messages": []}',
    rules: rulesOf('bedrock'),
    protocol: bedrockConverse,
  },
  {
    name: 'vertex predict gets no model out of options',
    client: '{"instances":[]}',
    rules: rulesOf('vertex-ai', { options: { model: 'A' } }),
    protocol: vertexPredict,
    facts: { model: 'A', requestModel: '' },
  },
  { name: 'V42 tools are counted', client: '{"messages":[],"tools":[{},{}]}', facts: { toolCount: 2 } },
  { name: 'tools that are no array are none', client: '{"messages":[],"tools":{}}', facts: { toolCount: 0 } },
  {
    name: 'V43 safety_identifier beats user',
    client: '{"messages":[],"user":"u","safety_identifier":"s"}',
    facts: { endUserId: 's' },
  },
  {
    name: 'a model that is no string is none',
    client: '{"messages":[],"model":5}',
    facts: { model: '', requestModel: '' },
  },
];

describe('shaping a body', () => {
  for (const { name, client, rules, protocol, sent, facts = {} } of rows) {
    it(name, () => {
      const shaped = shape(client, rules, protocol);
      assert.equal(Buffer.from(shaped.bytes).toString(), sent ?? client);
      for (const [fact, value] of Object.entries(facts)) {
        assert.equal(Object.entries(shaped).find(([key]) => key === fact)?.[1], value, fact);
      }
    });
  }

  describe('that is large', () => {
    const messages = JSON.stringify([{ role: 'user', content: 'é "x" '.repeat(4000) }]);
    const client = `{ "zebra":1.0, "messages":${messages},\n"model":"B","tools":[{},{}],"user":"ü" }`;

    it('keeps its bytes but for the members that change', () => {
      const { bytes, ...facts } = shape(client, { options: { model: 'A', stream: true } });
      assert.equal(
        Buffer.from(bytes).toString(),
        `{"zebra":1.0,"messages":${messages},"model":"A","tools":[{},{}],"user":"ü","stream_options":{"include_usage":true},"stream":true}`,
      );
      assert.deepEqual(facts, { stream: true, requestModel: 'B', model: 'A', toolCount: 2, endUserId: 'ü' });
    });

    it('goes out as it came when nothing changes', () => {
      assert.equal(Buffer.from(shape(client).bytes).toString(), client);
    });

    it('can still be read as a whole', () => {
      assert.deepEqual(parse(client).json['messages'], JSON.parse(messages));
    });

    it('is refused when it is broken, and the parser says why', () => {
      const error = parseRequestBody(Buffer.from(`${client.slice(0, -1)},}`));
      assert.ok(error instanceof WeirError);
      assert.match(error.message, /^could not parse JSON request body: Expected/);
    });

    it('may be an array', () => assert.equal(parse(`[${client}]`).outline.length, 1));
  });

  it('hands on the very bytes when nothing changes', () => {
    const body = parse(odd);
    const shaped = shapeBody({ options: {}, removesModel: false }, openaiChat, body);
    assert.ok(!(shaped instanceof WeirError));
    assert.equal(shaped.bytes, body.bytes);
  });

  it('encodes a converted body, and still knows the model of the client', () => {
    const client: JsonObject = { input: 'x', model: 'B' };
    const converted = bodyFromJson({ instances: [{ content: 'x' }] });
    const sent = (options: JsonObject): ShapedBody => {
      const shaped = shapeBody(rulesOf('vertex-ai', { options }), vertexPredict, converted, client);
      assert.ok(!(shaped instanceof WeirError));
      assert.equal(Buffer.from(shaped.bytes).toString(), '{"instances":[{"content":"x"}]}');
      return shaped;
    };
    assert.deepEqual([sent({}).requestModel, sent({}).model], ['B', 'B']);
    assert.deepEqual([sent({ model: 'A' }).requestModel, sent({ model: 'A' }).model], ['B', 'A']);
  });

  it('never changes what was parsed, so that a retry starts from the original', () => {
    const body = parse('{"model":"B","messages":[],"stream":true}');
    shapeBody({ options: { model: 'A' }, removesModel: true }, openaiChat, body);
    assert.deepEqual(body.json, { model: 'B', messages: [], stream: true });
  });
});

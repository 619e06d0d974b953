import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { after, before, beforeEach, describe, test } from 'node:test';
import { promisify } from 'node:util';
import { startGateway, type TestGateway } from './support/gateway.ts';
import {
  answerJson,
  chatAnswer,
  chatStream,
  fieldOf,
  startProvider,
  type Provider,
  type RecordedRequest,
} from './support/mock-provider.ts';
import { serverCertificate } from './support/tls-fixtures.ts';

const run = promisify(execFile);

const secrets = {
  OPENAI_API_KEY: 'sk-openai-of-the-operator',
  DEEPSEEK_API_KEY: 'sk-deepseek-of-the-operator',
  AZ_OPENAI_API_KEY: 'azure-key-of-the-operator',
};

const accessLogFormat =
  '$remote_addr - $remote_user [$time_local] $http_host "$request_line" $status $body_bytes_sent $request_time "$http_referer" "$http_user_agent" $upstream_addr $upstream_status $apisix_upstream_response_time "$upstream_scheme://$upstream_host$upstream_uri" "$apisix_request_id" "$request_type" "$llm_time_to_first_token" "$llm_model" "$request_llm_model" "$llm_prompt_tokens" "$llm_completion_tokens"';

let provider: Provider;
let gateway: TestGateway;

before(async () => {
  provider = await startProvider(answerJson(chatAnswer), { tls: serverCertificate });
  const standIn = `127.0.0.1:${provider.port}`;
  gateway = await startGateway({
    connectTo: {
      'api.openai.com:443': standIn,
      'api.deepseek.com:443': standIn,
      'name.openai.azure.com:443': standIn,
    },
    config: {
      nginx_config: { http: { access_log_format: accessLogFormat } },
      // As in the configuration that a new user starts with: the key is made at the start and stands in the file then.
      deployment: { admin: { admin_key: [{ name: 'admin', key: '', role: 'admin' }] } },
    },
  });
});

after(async () => {
  await gateway[Symbol.asyncDispose]();
  await provider[Symbol.asyncDispose]();
});

beforeEach(() => {
  provider.requests.length = 0;
  provider.answer = answerJson(chatAnswer);
});

/** Runs a published command as a user would, in the gateway's folder; only the ports are other ones. */
async function shell(script: string): Promise<string> {
  const onOurPorts = script
    .replaceAll('http://127.0.0.1:9180', gateway.adminUrl)
    .replaceAll('http://127.0.0.1:9080', gateway.url);
  const { stdout } = await run('bash', ['-ec', onOurPorts], {
    cwd: gateway.prefix,
    env: { ...process.env, ...secrets, admin_key: gateway.adminKey },
  });
  return stdout;
}

function onlyRequest(): RecordedRequest {
  assert.equal(provider.requests.length, 1);
  return provider.requests[0] ?? assert.fail();
}

/** All fields of a request, names in lower case. */
function fieldsOf(request: RecordedRequest): Record<string, string> {
  const fields = Object.fromEntries(request.fields.map(([name, value]) => [name.toLowerCase(), value]));
  assert.equal(Object.keys(fields).length, request.fields.length, 'a field came twice');
  return fields;
}

const curlAgent = /^curl\//;

describe('the published examples', { timeout: 120_000 }, () => {
  test('the line that takes the admin key out of conf/config.yaml works', async (t) => {
    assert.match(gateway.adminKey, /^[0-9a-f]{32}$/);
    const hasYq = await run('bash', ['-c', 'command -v yq']).then(
      () => true,
      () => false,
    );
    if (!hasYq) return t.skip('yq is not installed; the key was found at its path above');
    const printed = await shell(
      `admin_key=$(yq '.deployment.admin.admin_key[0].key' conf/config.yaml | sed 's/"//g')\necho "$admin_key"`,
    );
    assert.equal(printed, `${gateway.adminKey}\n`);
  });

  test('proxy to OpenAI', async () => {
    const made = await shell(
      `curl "http://127.0.0.1:9180/apisix/admin/routes" -X PUT -H "X-API-KEY: \${admin_key}" -d '{"id":"ai-proxy-route","uri":"/anything","methods":["POST"],"plugins":{"ai-proxy":{"provider":"openai","auth":{"header":{"Authorization":"Bearer '"$OPENAI_API_KEY"'"}},"options":{"model":"gpt-4"}}}}'`,
    );
    assert.match(made, /^\{"key":"\/apisix\/routes\/ai-proxy-route","value":\{/);

    const answer = await shell(
      `curl "http://127.0.0.1:9080/anything" -X POST -H "Content-Type: application/json" -H "Host: api.openai.com" -d '{"messages":[{"role":"system","content":"You are a mathematician"},{"role":"user","content":"What is 1+1?"}]}'`,
    );
    assert.equal(answer, JSON.stringify(chatAnswer));
    const request = onlyRequest();
    assert.equal(request.servername, 'api.openai.com');
    assert.equal(`${request.method} ${request.target}`, 'POST /v1/chat/completions');
    const body =
      '{"messages":[{"content":"You are a mathematician","role":"system"},{"content":"What is 1+1?","role":"user"}],"model":"gpt-4"}';
    assert.equal(request.body.toString(), body);
    const { 'user-agent': agent = '', ...fields } = fieldsOf(request);
    assert.match(agent, curlAgent);
    assert.deepEqual(fields, {
      host: 'api.openai.com',
      'content-type': 'application/json',
      authorization: `Bearer ${secrets.OPENAI_API_KEY}`,
      accept: '*/*',
      'content-length': String(body.length),
    });
  });

  test("what a client sends for itself stays at the gateway: cookies, keys, codings, the gateway's host", async () => {
    await shell(
      `curl "http://127.0.0.1:9080/anything" --compressed -X POST -H "Content-Type: application/json" -H "Host: gateway.example" -H "Cookie: session=of-the-client" -H "Authorization: Bearer of-the-client" -H "X-Api-Key: of-the-client" -H "X-Custom: passes" -d '{"messages":[]}'`,
    );
    const request = onlyRequest();
    assert.deepEqual(Object.keys(fieldsOf(request)).sort(), [
      'accept',
      'authorization',
      'content-length',
      'content-type',
      'host',
      'user-agent',
      'x-custom',
    ]);
    assert.equal(fieldOf(request, 'authorization'), `Bearer ${secrets.OPENAI_API_KEY}`);
    assert.equal(fieldOf(request, 'host'), 'api.openai.com');
  });

  test('proxy to DeepSeek', async () => {
    await shell(
      `curl "http://127.0.0.1:9180/apisix/admin/routes" -X PUT -H "X-API-KEY: \${admin_key}" -d '{"id":"ai-proxy-route","uri":"/anything","methods":["POST"],"plugins":{"ai-proxy":{"provider":"deepseek","auth":{"header":{"Authorization":"Bearer '"$DEEPSEEK_API_KEY"'"}},"options":{"model":"deepseek-chat"}}}}'`,
    );
    const answer = await shell(
      `curl "http://127.0.0.1:9080/anything" -X POST -H "Content-Type: application/json" -d '{"messages":[{"role":"system","content":"You are an AI assistant that helps people find information."},{"role":"user","content":"Write me a 50-word introduction for Apache APISIX."}]}'`,
    );
    assert.equal(answer, JSON.stringify(chatAnswer));
    const request = onlyRequest();
    assert.equal(request.servername, 'api.deepseek.com');
    assert.equal(request.target, '/chat/completions');
    assert.equal(fieldOf(request, 'authorization'), `Bearer ${secrets.DEEPSEEK_API_KEY}`);
    const body = JSON.parse(request.body.toString()) as { model: string; messages: unknown[] };
    assert.deepEqual([body.model, body.messages.length], ['deepseek-chat', 2]);
  });

  test('proxy to Azure OpenAI through openai-compatible, with a full endpoint', async () => {
    await shell(
      `curl "http://127.0.0.1:9180/apisix/admin/routes" -X PUT -H "X-API-KEY: \${admin_key}" -d '{"id":"ai-proxy-route","uri":"/anything","methods":["POST"],"plugins":{"ai-proxy":{"provider":"openai-compatible","auth":{"header":{"api-key":"'"$AZ_OPENAI_API_KEY"'"}},"options":{"model":"gpt-4"},"override":{"endpoint":"https://NAME.openai.azure.com/openai/deployments/gpt-4/chat/completions?api-version=2024-02-15-preview"}}}}'`,
    );
    const answer = await shell(
      `curl "http://127.0.0.1:9080/anything" -X POST -H "Content-Type: application/json" -d '{"messages":[{"role":"system","content":"You are an AI assistant that helps people find information."},{"role":"user","content":"Write me a 50-word introduction for Apache APISIX."}],"max_tokens":800,"temperature":0.7,"frequency_penalty":0,"presence_penalty":0,"top_p":0.95,"stop":null}'`,
    );
    assert.equal(answer, JSON.stringify(chatAnswer));
    const request = onlyRequest();
    assert.equal(request.servername, 'name.openai.azure.com');
    assert.equal(request.target, '/openai/deployments/gpt-4/chat/completions?api-version=2024-02-15-preview');
    const { host, 'api-key': key, authorization } = fieldsOf(request);
    assert.deepEqual([host, key, authorization], ['name.openai.azure.com', secrets.AZ_OPENAI_API_KEY, undefined]);
    const { messages, ...rest } = JSON.parse(request.body.toString()) as Record<string, unknown>;
    assert.ok(Array.isArray(messages));
    assert.deepEqual(rest, {
      model: 'gpt-4',
      max_tokens: 800,
      temperature: 0.7,
      frequency_penalty: 0,
      presence_penalty: 0,
      top_p: 0.95,
      stop: null,
    });
  });

  test('proxy to an embeddings model through override.endpoint', async () => {
    const embeddings = {
      object: 'list',
      data: [{ object: 'embedding', index: 0, embedding: [-0.0067, -0.0393] }],
      model: 'text-embedding-3-small',
      usage: { prompt_tokens: 2, total_tokens: 2 },
    };
    provider.answer = answerJson(embeddings);
    await shell(
      `curl "http://127.0.0.1:9180/apisix/admin/routes" -X PUT -H "X-API-KEY: \${admin_key}" -d '{"id":"embeddings-route","uri":"/embeddings","methods":["POST"],"plugins":{"ai-proxy":{"provider":"openai","auth":{"header":{"Authorization":"Bearer '"$OPENAI_API_KEY"'"}},"options":{"model":"text-embedding-3-small","encoding_format":"float"},"override":{"endpoint":"https://api.openai.com/v1/embeddings"}}}}'`,
    );
    const answer = await shell(
      `curl "http://127.0.0.1:9080/embeddings" -X POST -H "Content-Type: application/json" -d '{"input":"hello world"}'`,
    );
    assert.equal(answer, JSON.stringify(embeddings));
    const request = onlyRequest();
    assert.equal(request.servername, 'api.openai.com');
    assert.equal(request.target, '/v1/embeddings');
    assert.equal(
      request.body.toString(),
      '{"encoding_format":"float","input":"hello world","model":"text-embedding-3-small"}',
    );
  });

  test('several instances: the larger priority first, the other one when it fails', async () => {
    await shell(
      `curl "http://127.0.0.1:9180/apisix/admin/routes" -X PUT -H "X-API-KEY: \${admin_key}" -d '{"id":"multi-route","uri":"/multi","methods":["POST"],"plugins":{"ai-proxy-multi":{"instances":[{"name":"openai-primary","provider":"openai","weight":10,"priority":0,"auth":{"header":{"Authorization":"Bearer '"$OPENAI_API_KEY"'"}},"options":{"model":"gpt-4"}},{"name":"deepseek-backup","provider":"deepseek","weight":5,"priority":1,"auth":{"header":{"Authorization":"Bearer '"$DEEPSEEK_API_KEY"'"}},"options":{"model":"deepseek-chat"}}],"balancer":{"algorithm":"roundrobin"},"fallback_strategy":"instance_health_and_rate_limiting"}}}'`,
    );
    provider.answer = (request, response) =>
      answerJson(chatAnswer, request.servername === 'api.deepseek.com' ? 429 : 200)(request, response);
    const answer = await shell(
      `curl "http://127.0.0.1:9080/multi" -X POST -H "Content-Type: application/json" -d '{"messages":[{"role":"user","content":"What is 1+1?"}]}'`,
    );
    assert.equal(answer, JSON.stringify(chatAnswer));
    assert.deepEqual(
      provider.requests.map((request) => [
        request.servername,
        request.target,
        fieldOf(request, 'authorization'),
        (JSON.parse(request.body.toString()) as { model: string }).model,
      ]),
      [
        ['api.deepseek.com', '/chat/completions', `Bearer ${secrets.DEEPSEEK_API_KEY}`, 'deepseek-chat'],
        ['api.openai.com', '/v1/chat/completions', `Bearer ${secrets.OPENAI_API_KEY}`, 'gpt-4'],
      ],
    );
  });

  describe('the access log', () => {
    /** The published format, field by field. */
    const line =
      /^(?<addr>\S+) - (?<user>\S+) \[(?<time>[^\]]+)\] (?<host>\S+) "(?<request>[^"]*)" (?<status>\S+) (?<bytes>\S+) (?<seconds>\S+) "(?<referer>[^"]*)" "(?<agent>[^"]*)" (?<upstream>\S+) (?<upstreamStatus>\S+) (?<upstreamMs>\S+) "(?<url>[^"]*)" "(?<id>[^"]*)" "(?<type>[^"]*)" "(?<ttft>[^"]*)" "(?<model>[^"]*)" "(?<requestModel>[^"]*)" "(?<prompt>[^"]*)" "(?<completion>[^"]*)"$/;

    async function loggedCall(host: string, body: string): Promise<Record<string, string>> {
      await shell(
        `curl -o answer "http://127.0.0.1:9080/logged" -X POST -H "Content-Type: application/json" -H "Host: ${host}" -d '${body}'`,
      );
      const [logged = '', ...more] = await gateway.accessLog(` ${host} `);
      assert.equal(more.length, 0);
      return line.exec(logged)?.groups ?? assert.fail(`not in the published format: ${logged}`);
    }

    before(() =>
      gateway.putRoute('logged', {
        uri: '/logged',
        plugins: {
          'ai-proxy': {
            provider: 'openai',
            auth: { header: { Authorization: 'Bearer x' } },
            options: { model: 'gpt-4' },
          },
        },
      }),
    );

    test('tells type, time to the first token, models and tokens of a chat', async () => {
      const pauseMs = 30;
      provider.answer = (request, response) =>
        setTimeout(() => answerJson(chatAnswer)(request, response), pauseMs).unref();
      const fields = await loggedCall(
        'plain.example',
        '{"model":"auto","messages":[{"role":"user","content":"What is 1+1?"}]}',
      );
      const { time, seconds, agent, upstreamMs, id, ttft, ...exact } = fields;
      assert.match(time ?? '', /^\d\d\/[A-Z][a-z][a-z]\/\d{4}:\d\d:\d\d:\d\d [+-]\d{4}$/);
      assert.match(seconds ?? '', /^\d+\.\d{3}$/);
      assert.match(agent ?? '', curlAgent);
      assert.match(id ?? '', /^[0-9a-f]{32}$/);
      for (const milliseconds of [upstreamMs, ttft]) {
        assert.match(milliseconds ?? '', /^\d+$/);
        assert.ok(Number(milliseconds) >= pauseMs - 5 && Number(milliseconds) < 5000, `${milliseconds} ms`);
      }
      assert.deepEqual(exact, {
        addr: '127.0.0.1',
        user: '-',
        host: 'plain.example',
        request: 'POST /logged HTTP/1.1',
        status: '200',
        bytes: String(JSON.stringify(chatAnswer).length),
        referer: '-',
        upstream: `127.0.0.1:${provider.port}`,
        upstreamStatus: '200',
        url: 'https://api.openai.com/v1/chat/completions',
        type: 'ai_chat',
        model: 'gpt-4',
        requestModel: 'auto',
        prompt: '8',
        completion: '5',
      });
    });

    test('tells the same of a streamed chat, and the first token comes before the last', async () => {
      provider.answer = (_request, response) => {
        response.writeHead(200, { 'Content-Type': 'text/event-stream' });
        response.write(chatStream.slice(0, 60));
        setTimeout(() => response.end(chatStream.slice(60)), 60);
      };
      const fields = await loggedCall('stream.example', '{"stream":true,"messages":[]}');
      const { type, model, requestModel, prompt, completion, ttft, upstreamMs } = fields;
      assert.deepEqual(
        { type, model, requestModel, prompt, completion },
        {
          type: 'ai_stream',
          model: 'gpt-4',
          requestModel: '',
          prompt: '8',
          completion: '5',
        },
      );
      assert.ok(Number(upstreamMs) - Number(ttft) >= 40, `first token ${ttft} ms, end ${upstreamMs} ms`);
    });

    test('of a request that no route takes it has the initial values', async () => {
      await shell(`curl "http://127.0.0.1:9080/nowhere" -H "Host: nowhere.example"`);
      const [logged = ''] = await gateway.accessLog(' nowhere.example ');
      const fields = line.exec(logged)?.groups ?? assert.fail(`not in the published format: ${logged}`);
      const { status, upstream, type, ttft, model, requestModel, prompt, completion } = fields;
      assert.deepEqual(
        [status, upstream, type, ttft, model, requestModel, prompt, completion],
        ['404', '-', 'traditional_http', '0', '', '', '0', '0'],
      );
    });
  });
});

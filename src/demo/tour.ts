import { AccessLogTail, parseAccessLogLine } from './access-log-lines.ts';
import { callForJson, callForStream } from './calls.ts';
import { Page, type PageOptions } from './page.ts';

export interface TourOptions extends PageOptions {
  /** Origins without a path or a slash at the end. */
  readonly gatewayUrl: string;
  readonly adminUrl: string;
  readonly providerUrl: string;
  /** Credential for the Admin API. Never printed. */
  readonly adminKey: string;
  /** Credential that the route adds for the provider. */
  readonly providerKey: string;
  /** The demo's folder and its configuration, as they are shown. */
  readonly folder: string;
  readonly configFile: string;
  readonly accessLogFile: string;
  /** Of the gateway. */
  readonly version: string;
  readonly accessLogFormat: string;
  /** Ends the tour in the middle of a call. */
  readonly signal: AbortSignal;
}

const plainQuestion = 'What is 1+1?';
const streamedQuestion = 'Tell me a story about a river.';
const askedModel = 'gpt-4';
const demoModel = 'weir-demo';
const accessLogTimeoutMs = 3000;

/**
 * Shows a person what the gateway does: makes a route, makes a plain and a streamed call through it, and explains what
 * the access log says of them. What is shown is what is done.
 *
 * @throws DemoCallError when a call fails; the signal's reason when it is aborted.
 */
export async function runDemo(options: TourOptions): Promise<void> {
  const page = new Page(options);
  page.line();
  page.line(`${page.paint('bold', `Weir ${options.version}`)}  an AI gateway, and a tour of it`);
  await makeRoute(page, options);
  const log = await AccessLogTail.open(options.accessLogFile);
  await askPlainly(page, options);
  await askStreamed(page, options);
  await explainAccessLog(page, options, log);
  sayGoodbye(page, options);
}

async function makeRoute(page: Page, { adminUrl, adminKey, providerUrl, providerKey, ...rest }: TourOptions) {
  page.heading('1  A route');
  page.paragraph(
    `A route says which calls go where. This one takes all calls below /v1/, adds a credential that no client ever sees, puts in the model, and sends them to the demo provider, which needs no account. The key of the Admin API is in ${rest.configFile}.`,
  );
  const url = `${adminUrl}/apisix/admin/routes/demo`;
  const body = {
    uri: '/v1/*',
    plugins: {
      'ai-proxy': {
        provider: 'openai-compatible',
        auth: { header: { Authorization: `Bearer ${providerKey}` } },
        options: { model: demoModel },
        override: { endpoint: providerUrl },
      },
    },
  };
  page.command(`admin_key=$(awk -F"'" '/ key:/ { print $2 }' ${rest.configFile})`);
  page.command(
    `curl ${url} -X PUT -H "X-API-KEY: $admin_key" -d '{
  "uri": "/v1/*",
  "plugins": {
    "ai-proxy": {
      "provider": "openai-compatible",
      "auth": { "header": { "Authorization": "Bearer ${providerKey}" } },
      "options": { "model": "${demoModel}" },
      "override": { "endpoint": "${providerUrl}" }
    }
  }
}'`,
  );
  const headers = { 'X-API-KEY': adminKey };
  const { status } = await callForJson({ url, method: 'PUT', headers, body, signal: rest.signal });
  const what = status === 201 ? '201 Created' : `${status}, the route was there from an earlier run and is replaced`;
  page.line(`${page.paint('green', what)}  ${page.paint('dim', 'and in effect, no restart')}`);
}

async function askPlainly(page: Page, { gatewayUrl, signal }: TourOptions): Promise<void> {
  page.heading('2  A question');
  page.command(chatCommand(gatewayUrl, { question: plainQuestion, model: askedModel }));
  const call = { url: chatUrl(gatewayUrl), body: chatBody(plainQuestion, { model: askedModel }), signal };
  const { json } = await callForJson(call);
  for (const line of formatJson(json).split('\n')) page.line(line);
}

async function askStreamed(page: Page, { gatewayUrl, signal }: TourOptions): Promise<void> {
  page.heading('3  A streamed answer');
  page.paragraph(
    'With "stream": true the answer arrives in events, one for each word or two. This is their text, as it comes:',
  );
  page.command(chatCommand(gatewayUrl, { question: streamedQuestion, model: askedModel, stream: true }));
  const body = chatBody(streamedQuestion, { model: askedModel, stream: true });
  await callForStream({ url: chatUrl(gatewayUrl), body, signal }, (text) => page.stream(text));
  page.endStream();
}

/** What the columns of the table mean, by variable of the log format. */
const explanations: readonly (readonly [string, string])[] = [
  ['status', 'what the client got'],
  ['request_type', 'plain or streamed'],
  ['request_time', 'seconds until the last byte'],
  ['llm_time_to_first_token', 'ms until the answer began (TTFT)'],
  ['request_llm_model', 'the model that the client asked for'],
  ['llm_model', 'the model that the route used instead'],
  ['llm_prompt_tokens', 'tokens of the question'],
  ['llm_completion_tokens', 'tokens of the answer'],
  ['upstream_addr', 'where the provider was reached'],
];

async function explainAccessLog(page: Page, options: TourOptions, log: AccessLogTail): Promise<void> {
  page.heading('4  What the access log says');
  const lines = await log.lines(2, accessLogTimeoutMs);
  for (const line of lines) page.paragraph(line, 'dim');
  const [plain, streamed] = lines.map((line) => parseAccessLogLine(options.accessLogFormat, line));
  if (!plain || !streamed) {
    page.paragraph(`The two lines of these calls should be in ${options.accessLogFile}.`);
    return;
  }
  const row = (...[name, first, second, meaning]: readonly [string, string, string, string]): string =>
    `${name.padEnd(26)}${first.padEnd(17)}${second.padEnd(17)}${meaning}`;
  page.line(page.paint('dim', row('', 'plain', 'streamed', '')).trimEnd());
  for (const [name, meaning] of explanations) {
    const [first, second] = [plain[name], streamed[name]];
    if (first === undefined || second === undefined) continue;
    const [left, right] = [first.padEnd(17), second.padEnd(17)].map((value) => page.paint('yellow', value));
    page.line(`${`$${name}`.padEnd(26)}${left}${right}${page.paint('dim', meaning)}`);
  }
}

function sayGoodbye(page: Page, { gatewayUrl, adminUrl, providerUrl, folder }: TourOptions): void {
  page.heading('5  Your turn');
  const place = (name: string, where: string, what: string): void =>
    page.line(`${name.padEnd(15)}${page.paint('cyan', where.padEnd(28))}${page.paint('dim', what)}`);
  place('gateway', `${gatewayUrl}/v1`, 'the base URL for OpenAI clients, with any API key');
  place('Admin API', adminUrl, 'takes routes, with the key from conf/config.yaml');
  place('demo provider', providerUrl, 'answers behind the gateway');
  place('files', `${folder}/`, 'conf/config.yaml, data/, logs/');
  page.line();
  page.command(chatCommand(gatewayUrl, { question: 'What is Weir?' }));
  page.command(chatCommand(gatewayUrl, { question: 'How does streaming work?', stream: true }));
  page.command(chatCommand(gatewayUrl, { question: 'Please fail with 429.', showHead: true }));
  page.line(`${page.paint('bold', 'Everything keeps running.')} Ctrl-C ends it.`);
  page.line();
}

interface ChatExample {
  readonly question: string;
  readonly model?: string;
  readonly stream?: boolean;
  readonly showHead?: boolean;
}

function chatCommand(gatewayUrl: string, { question, model, stream, showHead }: ChatExample): string {
  const flags = `${showHead ? '-i ' : ''}${stream ? '-N ' : ''}`;
  const members = [
    ...(model ? [`"model": "${model}"`] : []),
    ...(stream ? ['"stream": true'] : []),
    `"messages": [{ "role": "user", "content": "${question}" }]`,
  ];
  return `curl ${flags}${chatUrl(gatewayUrl)} -H "Content-Type: application/json" -d '{
  ${members.join(',\n  ')}
}'`;
}

function chatBody(question: string, { model, stream }: { model?: string | undefined; stream?: boolean | undefined }) {
  return { ...(model && { model }), ...(stream && { stream }), messages: [{ role: 'user', content: question }] };
}

function chatUrl(gatewayUrl: string): string {
  return `${gatewayUrl}/v1/chat/completions`;
}

/** Indented JSON in which small objects stay on one line. */
function formatJson(value: unknown): string {
  return JSON.stringify(value, null, 2).replaceAll(/\{\s*\n([^{}[\]]*)\n\s*\}/g, (text) => {
    const line = text.replaceAll(/\n\s*/g, ' ');
    return line.length <= 70 ? line : text;
  });
}

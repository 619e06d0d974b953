import { eventually, startGateway, type GatewayOptions, type TestGateway } from './gateway.ts';
import {
  answerJson,
  chatAnswer,
  startProvider,
  startRawProvider,
  type Provider,
  type RawProvider,
} from './mock-provider.ts';

/** One access log line of {@link AiStage}: every value as the text that is printed. */
export type LoggedCall = Readonly<Record<(typeof loggedVariables)[number], string>>;

const loggedVariables = [
  'request_uri',
  'request_method',
  'status',
  'body_bytes_sent',
  'weir_error',
  'route_id',
  'upstream_addr',
  'upstream_instance',
  'upstream_status',
  'upstream_uri',
  'upstream_response_time',
  'apisix_upstream_response_time',
  'request_type',
  'request_llm_model',
  'llm_model',
  'llm_time_to_first_token',
  'llm_prompt_tokens',
  'llm_completion_tokens',
  'llm_total_tokens',
  'llm_stream',
  'llm_has_tool_calls',
  'llm_tool_count',
  'llm_end_user_id',
  'llm_cache_read_input_tokens',
  'llm_reasoning_tokens',
] as const;

const jsonLines = {
  access_log_format: `{${loggedVariables.map((name) => `"${name}":"$${name}"`).join(',')}}`,
  access_log_format_escape: 'json',
};

/** A gateway between a test and two providers, with an access log that is easy to read. Give it to `await using`. */
export interface AiStage extends AsyncDisposable {
  readonly gateway: TestGateway;
  /** On node:http; answers with {@link chatAnswer} until told otherwise. */
  readonly provider: Provider;
  /** On node:net; its tests set `answer`. */
  readonly raw: RawProvider;
  /**
   * Makes a route with ai-proxy and an address of its own.
   *
   * @param conf - Over the defaults: openai-compatible at {@link provider}, no credential.
   * @param route - Over the defaults: that address and this plugin.
   * @returns The URL.
   */
  route(conf?: object, route?: object): Promise<string>;
  /** The access log's lines about a URL, as soon as there are as many. */
  logged(url: string, count?: number): Promise<LoggedCall[]>;
}

export async function startStage(options: GatewayOptions = {}): Promise<AiStage> {
  // First what can fail: providers that nobody closes would keep the test's process alive.
  const gateway = await startGateway(options, { nginx_config: { http: jsonLines } });
  const provider = await startProvider(answerJson(chatAnswer));
  const raw = await startRawProvider(() => {});
  let routes = 0;
  return {
    gateway,
    provider,
    raw,
    async route(conf = {}, route = {}) {
      const id = `r${++routes}`;
      const aiProxy = { provider: 'openai-compatible', auth: {}, override: { endpoint: provider.url }, ...conf };
      await gateway.putRoute(id, { uri: `/${id}`, plugins: { 'ai-proxy': aiProxy }, ...route });
      return `${gateway.url}/${id}`;
    },
    async logged(url, count = 1) {
      const { pathname, search } = new URL(url);
      const text = `"request_uri":"${pathname}${search}"`;
      let lines: string[] = [];
      const areThere = (): boolean => {
        lines = gateway.readLog('access.log').split('\n').slice(0, -1);
        lines = lines.filter((line) => line.includes(text));
        return lines.length >= count;
      };
      await eventually(areThere, undefined, () => `${count} lines about ${url}, and not ${lines.length}`);
      return lines.map((line) => JSON.parse(line) as LoggedCall);
    },
    async [Symbol.asyncDispose]() {
      await gateway[Symbol.asyncDispose]();
      await provider[Symbol.asyncDispose]();
      await raw[Symbol.asyncDispose]();
    },
  };
}

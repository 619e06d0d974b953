import assert from 'node:assert/strict';
import { startStage, type AiStage, type LoggedCall } from '../support/ai-stage.ts';
import { eventually, type GatewayOptions } from '../support/gateway.ts';
import { call, type CallResult } from '../support/http-call.ts';
import type { Dialect } from './dialects.ts';

/** A gateway with routes of any dialect, and its access log. Give it to `await using`. */
export interface FaultLab extends AsyncDisposable {
  readonly stage: AiStage;
  /** Makes a route with these plugins and an address of its own. @returns Where its dialect is spoken. */
  route(dialect: Dialect, plugins: object): Promise<string>;
  /** One line for each query of the URL, by query; fails when one has several, or there are others. */
  linesByQuery(url: string, queries: readonly string[]): Promise<ReadonlyMap<string, LoggedCall>>;
}

export async function startLab(options: GatewayOptions = {}): Promise<FaultLab> {
  const stage = await startStage(options);
  let routes = 0;
  return {
    stage,
    async route(dialect, plugins) {
      const id = `lab${++routes}`;
      await stage.gateway.putRoute(id, { uri: `/${id}/*`, plugins });
      return `${stage.gateway.url}/${id}${dialect.path}`;
    },
    async linesByQuery(url, queries) {
      const text = `"request_uri":"${new URL(url).pathname}?`;
      let lines: string[] = [];
      await eventually(() => {
        lines = stage.gateway.readLog('access.log').split('\n').slice(0, -1);
        lines = lines.filter((line) => line.includes(text));
        return lines.length >= queries.length;
      });
      const calls = lines.map((line) => JSON.parse(line) as LoggedCall);
      const byQuery = new Map(calls.map((logged) => [logged.request_uri.split('?')[1] ?? '', logged]));
      assert.deepEqual([calls.length, byQuery.size], [queries.length, queries.length], 'lines of the access log');
      for (const query of queries) assert.ok(byQuery.has(query), `no line about ${query}`);
      return byQuery;
    },
    [Symbol.asyncDispose]: () => stage[Symbol.asyncDispose](),
  };
}

/** Conf of a plugin that calls the provider at `url` in this dialect. */
export function providerAt(url: string, dialect: Dialect): object {
  return { provider: dialect.provider, auth: {}, override: { endpoint: url } };
}

interface Question {
  readonly stream: boolean;
  /** Default `hi`. */
  readonly content?: string;
  /** The field X-Fault, by which a provider may know what to do. */
  readonly fault?: string;
}

/** Asks for an answer, whole or streamed. */
export function ask(url: string, { stream, content = 'hi', fault }: Question): Promise<CallResult> {
  return call(url, {
    ...(fault !== undefined && { headers: { 'X-Fault': fault } }),
    body: { model: 'm', max_tokens: 9, messages: [{ role: 'user', content }], ...(stream && { stream }) },
  });
}

/** Works off the items with so many at a time. */
export async function inLanes<Item>(
  items: Iterable<Item>,
  lanes: number,
  work: (item: Item) => Promise<void>,
): Promise<void> {
  const rest = items[Symbol.iterator]();
  const lane = async (): Promise<void> => {
    for (let next = rest.next(); next.done !== true; next = rest.next()) await work(next.value);
  };
  await Promise.all(Array.from({ length: lanes }, lane));
}

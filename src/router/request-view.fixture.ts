import { noPathParams, type RequestView } from './request-view.ts';

type FakeRequest = Partial<Omit<RequestView, 'header' | 'jsonBody' | 'body'>> & {
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string | null;
};

/** A request for tests: `GET /` from 127.0.0.1 with what the test names instead. */
export function fakeRequest({ headers = {}, body = null, ...fields }: FakeRequest = {}): RequestView {
  return {
    method: 'GET',
    path: '/',
    requestUri: '/',
    queryString: '',
    host: 'localhost',
    scheme: 'http',
    httpVersion: '1.1',
    remoteAddress: '127.0.0.1',
    remotePort: 40000,
    serverAddress: '127.0.0.2',
    serverPort: 9080,
    consumer: null,
    pathParams: noPathParams,
    ...fields,
    header: (name) => headers[name],
    body: body === null ? null : Buffer.from(body),
    jsonBody() {
      try {
        return body === null ? undefined : JSON.parse(body);
      } catch {
        return undefined;
      }
    },
  };
}

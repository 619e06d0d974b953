import { once } from 'node:events';
import { createServer, type AddressInfo } from 'node:net';
import { openBlackHole } from '../support/black-hole.ts';
import { freePort } from '../support/free-port.ts';
import type { ErrorCode } from '../../src/base/errors.ts';
import { answerJson, chatAnswer, startIdleServer, startProvider } from '../support/mock-provider.ts';
import { expiredCertificate } from '../support/tls-fixtures.ts';

/** An address where no request ever arrives. Give it to `await using`. */
export interface BadPlace extends AsyncDisposable {
  readonly url: string;
}

interface BadPlaceKind {
  readonly name: string;
  readonly open: () => Promise<BadPlace>;
  readonly status: 502 | 504;
  /** One of these, by what the kernel tells first. */
  readonly codes: readonly ErrorCode[];
}

/** Every way in which a provider cannot be reached. Those with 504 take the time-out. */
export const badPlaces: readonly BadPlaceKind[] = [
  { name: 'refuses connections', open: openClosedPort, status: 502, codes: ['UPSTREAM_CONNECT'] },
  {
    name: 'accepts and resets at once',
    open: openResetter,
    status: 502,
    codes: ['UPSTREAM_RESET', 'UPSTREAM_CONNECT'],
  },
  { name: 'never accepts', open: openHole, status: 504, codes: ['UPSTREAM_CONNECT_TIMEOUT'] },
  { name: 'has no name', open: openNowhere, status: 502, codes: ['UPSTREAM_DNS'] },
  { name: 'has a bad certificate', open: openExpired, status: 502, codes: ['UPSTREAM_TLS'] },
  { name: 'stalls in the TLS handshake', open: openSilentTls, status: 504, codes: ['UPSTREAM_CONNECT_TIMEOUT'] },
  { name: 'resets in the TLS handshake', open: openTlsResetter, status: 502, codes: ['UPSTREAM_TLS'] },
];

/** A port on which nobody listens. */
export async function openClosedPort(): Promise<BadPlace> {
  return { url: `http://127.0.0.1:${await freePort()}`, [Symbol.asyncDispose]: () => Promise.resolve() };
}

async function openResetter(scheme = 'http'): Promise<BadPlace> {
  const server = createServer((socket) => {
    socket.on('error', () => {});
    if (scheme === 'http') socket.resetAndDestroy();
    else socket.once('data', () => socket.resetAndDestroy());
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  return {
    url: `${scheme}://127.0.0.1:${(server.address() as AddressInfo).port}`,
    async [Symbol.asyncDispose]() {
      server.close();
      await once(server, 'close');
    },
  };
}

function openTlsResetter(): Promise<BadPlace> {
  return openResetter('https');
}

async function openHole(): Promise<BadPlace> {
  const hole = await openBlackHole('127.0.0.1');
  return { url: `http://127.0.0.1:${hole.port}`, [Symbol.asyncDispose]: () => hole[Symbol.asyncDispose]() };
}

function openNowhere(): Promise<BadPlace> {
  return Promise.resolve({ url: 'http://nowhere.invalid', [Symbol.asyncDispose]: () => Promise.resolve() });
}

function openExpired(): Promise<BadPlace> {
  return startProvider(answerJson(chatAnswer), { tls: expiredCertificate });
}

async function openSilentTls(): Promise<BadPlace> {
  const server = await startIdleServer();
  return { url: server.url.replace('http:', 'https:'), [Symbol.asyncDispose]: () => server[Symbol.asyncDispose]() };
}

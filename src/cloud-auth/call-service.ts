import { request as requestHttp, type IncomingMessage } from 'node:http';
import { request as requestHttps } from 'node:https';
import { CredentialError } from './credential-error.ts';

/** What tokens and secrets come in is a few kilobytes; more is not an answer to our question. */
const maxAnswerBytes = 1024 * 1024;

interface ServiceCall {
  /** For messages: `the token endpoint`. */
  readonly service: string;
  /** http or https. */
  readonly url: string;
  readonly method: 'GET' | 'POST';
  readonly headers: Readonly<Record<string, string>>;
  readonly body?: Uint8Array;
  /** For the whole call, from the name lookup to the last byte. */
  readonly timeoutMs: number;
  /** False: any certificate will do. */
  readonly verifyTls: boolean;
}

interface ServiceAnswer {
  readonly status: number;
  readonly text: string;
}

/**
 * One small HTTP call to a service that holds credentials. Follows no redirect, which could carry the credential of
 * the call to another host; uses a connection of its own, as these calls are minutes apart.
 *
 * @throws CredentialError when there is no whole answer in time. Any status is an answer.
 */
export async function callService(call: ServiceCall): Promise<ServiceAnswer> {
  const signal = AbortSignal.timeout(call.timeoutMs);
  try {
    const response = await send(call, signal);
    return { status: response.statusCode ?? 0, text: await readText(call, response) };
  } catch (error) {
    if (error instanceof CredentialError) throw error;
    if (signal.aborted) {
      throw new CredentialError(`${call.service} did not answer within ${call.timeoutMs / 1000} s`, { cause: error });
    }
    throw new CredentialError(`${call.service} cannot be reached: ${reasonOf(error)}`, { cause: error });
  }
}

function send(call: ServiceCall, signal: AbortSignal): Promise<IncomingMessage> {
  const { service, url, method, headers, body, verifyTls } = call;
  const scheme = URL.canParse(url) ? new URL(url).protocol : '';
  if (scheme !== 'http:' && scheme !== 'https:') {
    throw new CredentialError(`the address of ${service} is not an http(s) URL`);
  }
  for (const [name, value] of Object.entries(headers)) {
    // Mostly the line break that ends the file a credential was read from.
    if (!/^[\x20-\x7e]*$/.test(value)) {
      throw new CredentialError(`the header ${name} for ${service} would not consist of printable ASCII characters`);
    }
  }
  const options = { method, headers, signal, agent: false } as const;
  return new Promise((resolve, reject) => {
    const request =
      scheme === 'http:' ? requestHttp(url, options) : requestHttps(url, { ...options, rejectUnauthorized: verifyTls });
    request.on('response', resolve).on('error', reject);
    request.end(body);
  });
}

async function readText(call: ServiceCall, response: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of response as AsyncIterable<Buffer>) {
    size += chunk.length;
    if (size > maxAnswerBytes) throw new CredentialError(`the answer of ${call.service} is larger than 1 MiB`);
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString('utf8');
}

/** The code, not the message: that one may repeat the URL or a header. */
function reasonOf(error: unknown): string {
  if (!(error instanceof Error)) return 'unknown error';
  return 'code' in error && typeof error.code === 'string' ? error.code : error.name;
}

/** @returns The members of the JSON object that `text` spells, or null for anything else, broken JSON included. */
export function parseObject(text: string): Readonly<Record<string, unknown>> | null {
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === 'object' && value !== null && !Array.isArray(value)
      ? (value as Readonly<Record<string, unknown>>)
      : null;
  } catch {
    return null;
  }
}

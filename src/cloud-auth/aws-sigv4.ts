import { createHmac, hash } from 'node:crypto';

/** A long-term key of AWS, or with a session token a temporary one. */
export interface AwsCredentials {
  readonly accessKeyId: string;
  readonly secretAccessKey: string;
  readonly sessionToken?: string | undefined;
}

/** Where a signature is valid: `{ region: 'eu-west-1', service: 'bedrock' }`. */
export interface AwsScope {
  readonly region: string;
  readonly service: string;
}

interface AwsRequest {
  readonly method: string;
  /** Path and query as they are sent, each path segment escaped once (see {@link escapePath}). */
  readonly target: string;
  /** The headers to sign, names in lower case, `host` among them. Others may be sent unsigned, except `x-amz-*`. */
  readonly headers: Readonly<Record<string, string>>;
  readonly body: Uint8Array;
}

/**
 * Signs requests with AWS Signature Version 4, in the way of every service but S3: the path is normalised and escaped
 * once more than it is sent.
 *
 * @see https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html
 */
export class AwsSigV4 {
  readonly #credentials: AwsCredentials;
  readonly #scope: AwsScope;
  /** Valid for one day (UTC), four HMACs to make. */
  #key: { readonly day: string; readonly bytes: Buffer } = { day: '', bytes: Buffer.alloc(0) };

  constructor(credentials: AwsCredentials, scope: AwsScope) {
    this.#credentials = credentials;
    this.#scope = scope;
  }

  /** @returns The headers to add: `x-amz-date`, `authorization` and, with a session token, `x-amz-security-token`. */
  sign(request: AwsRequest, at: Date): Readonly<Record<string, string>> {
    const { accessKeyId, sessionToken } = this.#credentials;
    const { region, service } = this.#scope;
    const time = at.toISOString().replace(/[-:]|\.\d{3}/g, '');
    const day = time.slice(0, 8);
    const added = {
      'x-amz-date': time,
      ...(sessionToken !== undefined && { 'x-amz-security-token': sessionToken }),
    };
    const headers = { ...request.headers, ...added };
    const names = Object.keys(headers).sort().join(';');
    const scope = `${day}/${region}/${service}/aws4_request`;
    const text = `AWS4-HMAC-SHA256\n${time}\n${scope}\n${hash('sha256', canonicalRequest(request, headers, names))}`;
    const signature = createHmac('sha256', this.#keyOf(day)).update(text).digest('hex');
    return {
      ...added,
      authorization: `AWS4-HMAC-SHA256 Credential=${accessKeyId}/${scope}, SignedHeaders=${names}, Signature=${signature}`,
    };
  }

  #keyOf(day: string): Buffer {
    if (this.#key.day !== day) {
      const { region, service } = this.#scope;
      let bytes: string | Buffer = `AWS4${this.#credentials.secretAccessKey}`;
      for (const part of [day, region, service, 'aws4_request']) {
        bytes = createHmac('sha256', bytes).update(part).digest();
      }
      this.#key = { day, bytes: Buffer.from(bytes) };
    }
    return this.#key.bytes;
  }
}

function canonicalRequest(request: AwsRequest, headers: Readonly<Record<string, string>>, names: string): string {
  const { method, target, body } = request;
  const mark = target.indexOf('?');
  const path = mark === -1 ? target : target.slice(0, mark);
  const query = mark === -1 ? '' : target.slice(mark + 1);
  const lines = names.split(';').map((name) => `${name}:${(headers[name] ?? '').trim().replace(/ +/g, ' ')}\n`);
  return [method, canonicalPath(path), canonicalQuery(query), `${lines.join('')}\n${names}`, hash('sha256', body)].join(
    '\n',
  );
}

function canonicalPath(path: string): string {
  const segments: string[] = [];
  for (const segment of path.split('/')) {
    if (segment === '' || segment === '.') continue;
    if (segment === '..') segments.pop();
    else segments.push(escapeUri(segment));
  }
  const end = segments.length > 0 && path.endsWith('/') ? '/' : '';
  return `/${segments.join('/')}${end}`;
}

function canonicalQuery(query: string): string {
  return query
    .split('&')
    .filter((argument) => argument !== '')
    .map((argument): readonly [name: string, value: string] => {
      const equals = argument.indexOf('=');
      if (equals === -1) return [escapeOnce(argument), ''];
      return [escapeOnce(argument.slice(0, equals)), escapeOnce(argument.slice(equals + 1))];
    })
    .sort(([name, value], [otherName, otherValue]) => compare(name, otherName) || compare(value, otherValue))
    .map(([name, value]) => `${name}=${value}`)
    .join('&');
}

function compare(one: string, other: string): number {
  if (one === other) return 0;
  return one < other ? -1 : 1;
}

/**
 * A path with each segment escaped exactly once, whether it came escaped or not: `/model/a:b` and `/model/a%3Ab` both
 * become `/model/a%3Ab`. AWS computes the signature from that form, so it has to be what is sent.
 */
export function escapePath(path: string): string {
  return path.split('/').map(escapeOnce).join('/');
}

function escapeOnce(text: string): string {
  try {
    return escapeUri(decodeURIComponent(text));
  } catch {
    // A percent sign that starts no escape is meant as one.
    return escapeUri(text);
  }
}

/** Escapes everything but letters, digits and `-._~`, which is more than encodeURIComponent does. */
export function escapeUri(text: string): string {
  return encodeURIComponent(text.toWellFormed()).replace(
    /[!'()*]/g,
    (character) => `%${character.charCodeAt(0).toString(16).toUpperCase()}`,
  );
}

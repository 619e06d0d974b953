import { generateKeyPairSync, verify } from 'node:crypto';
import type { ServerResponse } from 'node:http';
import type { RecordedRequest } from './mock-provider.ts';

const { publicKey, privateKey } = generateKeyPairSync('rsa', { modulusLength: 2048 });

/** PEM. */
export const googlePrivateKey = privateKey.export({ type: 'pkcs8', format: 'pem' });

/** Claims and header of a JWT, as its signer wrote them. */
export interface Assertion {
  readonly header: unknown;
  readonly claims: unknown;
}

/** @returns What a token request asserts; throws unless it was signed with {@link googlePrivateKey}. */
export function readAssertion(request: RecordedRequest | undefined): Assertion {
  const form = new URLSearchParams(request?.body.toString());
  const [header = '', claims = '', signature = ''] = (form.get('assertion') ?? '').split('.');
  if (form.get('grant_type') !== 'urn:ietf:params:oauth:grant-type:jwt-bearer') throw new Error('wrong grant_type');
  const signed = Buffer.from(`${header}.${claims}`);
  if (!verify('sha256', signed, publicKey, Buffer.from(signature, 'base64url'))) throw new Error('wrong signature');
  return { header: fromBase64Url(header), claims: fromBase64Url(claims) };
}

function fromBase64Url(text: string): unknown {
  return JSON.parse(Buffer.from(text, 'base64url').toString());
}

/** Answers with a JSON body. */
export function answerJson(response: ServerResponse, status: number, body: unknown): void {
  response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(body));
}

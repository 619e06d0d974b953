/** What the first bytes of a connection say. */
export type FirstBytes =
  | { readonly kind: 'incomplete' }
  /** A TLS client; `serverName` in lower case, null when it named none. */
  | { readonly kind: 'hello'; readonly serverName: string | null }
  /** HTTP without TLS, by the look of it. */
  | { readonly kind: 'plain-http' }
  | { readonly kind: 'malformed' };

/** More than any client sends, also with post-quantum key shares (under 2 KiB) and a session ticket. */
const maxHelloBytes = 32 * 1024;
/** Clients make one record of it, or a few. In records of one byte each, every read would take 10 ms. */
const maxRecords = 64;

const recordHeaderBytes = 5;
const handshakeHeaderBytes = 4;
const handshakeRecord = 22;
const clientHello = 1;
const serverNameExtension = 0;
const hostNameType = 0;

const incomplete: FirstBytes = { kind: 'incomplete' };
const malformed: FirstBytes = { kind: 'malformed' };

/**
 * Reads the server name out of a ClientHello, before anything is decided: which versions and ciphers a name allows and
 * whether its clients must show a certificate are settings that a TLS library cannot change once the handshake runs.
 *
 * @param bytes - All bytes of the connection so far.
 * @see https://www.rfc-editor.org/rfc/rfc8446#section-4.1.2 and https://www.rfc-editor.org/rfc/rfc6066#section-3
 */
export function readFirstBytes(bytes: Buffer): FirstBytes {
  if (bytes.length === 0) return incomplete;
  if (bytes[0] !== handshakeRecord) return looksLikeHttp(bytes) ? { kind: 'plain-http' } : malformed;
  const message = joinRecords(bytes);
  if (message === null) return malformed;
  if (message.length < handshakeHeaderBytes) return incomplete;
  const length = message.readUIntBE(1, 3);
  if (message[0] !== clientHello || length > maxHelloBytes) return malformed;
  if (message.length < handshakeHeaderBytes + length) return incomplete;
  try {
    const hello = message.subarray(handshakeHeaderBytes, handshakeHeaderBytes + length);
    return { kind: 'hello', serverName: findServerName(hello) };
  } catch (error) {
    // Reading past the end: a length that does not fit.
    if (error instanceof RangeError) return malformed;
    throw error;
  }
}

function looksLikeHttp(bytes: Buffer): boolean {
  return /^[A-Z]+ ?/.test(bytes.toString('latin1', 0, 8));
}

/** A handshake message may be split over records. @returns What there is of it, or null when these are no such records. */
function joinRecords(bytes: Buffer): Buffer | null {
  const pieces: Buffer[] = [];
  let at = 0;
  while (at + recordHeaderBytes <= bytes.length) {
    const length = bytes.readUInt16BE(at + 3);
    const isRefused = bytes[at] !== handshakeRecord || bytes[at + 1] !== 3 || length === 0;
    if (isRefused || pieces.length === maxRecords) return null;
    pieces.push(bytes.subarray(at + recordHeaderBytes, at + recordHeaderBytes + length));
    at += recordHeaderBytes + length;
  }
  return pieces.length === 1 && pieces[0] !== undefined ? pieces[0] : Buffer.concat(pieces);
}

/** @throws RangeError where a length points past the end. */
function findServerName(hello: Buffer): string | null {
  let at = 2 + 32;
  at += 1 + hello.readUInt8(at);
  at += 2 + hello.readUInt16BE(at);
  at += 1 + hello.readUInt8(at);
  // A client of TLS 1.2 may send no extensions at all.
  if (at === hello.length) return null;
  const end = at + 2 + hello.readUInt16BE(at);
  if (end !== hello.length) throw new RangeError('extensions');
  at += 2;
  while (at < end) {
    const type = hello.readUInt16BE(at);
    const length = hello.readUInt16BE(at + 2);
    at += 4;
    if (type === serverNameExtension) return readServerName(hello.subarray(at, at + length));
    at += length;
  }
  return null;
}

function readServerName(extension: Buffer): string {
  const length = extension.readUInt16BE(3);
  const name = extension.toString('latin1', 5, 5 + length);
  if (extension.readUInt8(2) !== hostNameType || name.length !== length || !/^[\w.-]{1,255}$/.test(name)) {
    throw new RangeError('server name');
  }
  return name.toLowerCase().replace(/\.$/, '');
}

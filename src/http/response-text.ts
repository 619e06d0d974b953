import { STATUS_CODES } from 'node:http';

const statusLines: string[] = [];
for (let status = 100; status < 600; status++) {
  statusLines[status] = `HTTP/1.1 ${status} ${STATUS_CODES[status] ?? ''}\r\n`;
}
// nginx's name for a client that left; it is never sent, only logged.
statusLines[499] = 'HTTP/1.1 499 Client Closed Request\r\n';

/** @param status - 100 to 599. */
export function statusLine(status: number): string {
  return statusLines[status] ?? `HTTP/1.1 ${status} \r\n`;
}

/** `name: value` lines of a flat list (name, value, name, value, …). */
export function fieldLines(flat: readonly string[]): string {
  let text = '';
  for (let i = 0; i < flat.length; i += 2) text += `${flat[i]}: ${flat[i + 1]}\r\n`;
  return text;
}

let dateSecond = 0;
let dateText = '';
let wholeDateLine = '';

/** The value of the field Date (RFC 9110, section 6.6.1), made once a second. */
export function dateValue(): string {
  dateLine();
  return dateText;
}

/** The same as a field line. */
export function dateLine(): string {
  const second = Math.floor(Date.now() / 1000);
  if (second !== dateSecond) {
    dateSecond = second;
    dateText = new Date(second * 1000).toUTCString();
    wholeDateLine = `Date: ${dateText}\r\n`;
  }
  return wholeDateLine;
}

/** Whether a list of fields, in lower case, brings its own Date. */
export function hasDate(fields: readonly string[]): boolean {
  for (let i = 0; i < fields.length; i += 2) if (fields[i] === 'date') return true;
  return false;
}

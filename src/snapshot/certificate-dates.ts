import { X509Certificate } from 'node:crypto';
import type { LogFields } from '../base/log.ts';

/** From when to when a certificate is valid, in milliseconds since 1970. */
interface Validity {
  readonly from: number;
  readonly to: number;
}

interface Notice {
  readonly message: string;
  readonly fields: LogFields;
}

const dayMs = 24 * 60 * 60 * 1000;
/** How often the dates of certificates should be looked at, in milliseconds. */
export const dateCheckMs = dayMs;
/** Who renews in time has done it by then: a life of 90 days is usually renewed after 60. */
const lastPartOfLife = 1 / 5;
const longestNoticeMs = 14 * dayMs;

/**
 * Reads the dates of a certificate in PEM format, of the first one when a chain follows.
 *
 * @throws Error of OpenSSL when it is none.
 */
export function readValidity(pem: string): Validity {
  const { validFromDate, validToDate } = new X509Certificate(pem);
  return { from: validFromDate.getTime(), to: validToDate.getTime() };
}

/**
 * What there is to tell of a certificate by its dates: that its time is over, has not begun, or ends soon, which is in the last
 * fifth of its life, 14 days at most.
 *
 * @param now - In milliseconds since 1970.
 * @returns Null: nothing.
 */
export function noticeOfDates({ from, to }: Validity, now: number): Notice | null {
  if (to <= now) return { message: 'a certificate has expired: clients will refuse it', fields: { since: iso(to) } };
  if (from > now) {
    return { message: 'a certificate is not yet valid: clients will refuse it', fields: { from: iso(from) } };
  }
  if (to - now > Math.min(longestNoticeMs, (to - from) * lastPartOfLife)) return null;
  return { message: 'a certificate expires soon: it has to be renewed', fields: { at: iso(to) } };
}

function iso(ms: number): string {
  return new Date(ms).toISOString();
}

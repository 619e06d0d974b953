import { withArgumentValue } from '../router/query.ts';
import type { RequestContext } from './context.ts';

const redacted = '[redacted]';

/** The query of a request for a log: without the credential that an authentication plugin takes from it. */
export function shownQuery({ credentialPlaces }: RequestContext, query: string): string {
  let shown = query;
  for (const { argument } of credentialPlaces) {
    if (argument !== null && shown !== '') shown = withArgumentValue(shown, argument, redacted);
  }
  return shown;
}

/** A text with a URI in it, such as a request line, for a log. See {@link shownQuery}. */
export function shownUri(ctx: RequestContext, text: string): string {
  const start = ctx.credentialPlaces.length === 0 ? -1 : text.indexOf('?');
  if (start === -1) return text;
  const space = text.indexOf(' ', start);
  const end = space === -1 ? text.length : space;
  return text.slice(0, start + 1) + shownQuery(ctx, text.slice(start + 1, end)) + text.slice(end);
}

/** Whether an authentication plugin takes a credential from a header field, or from a cookie in it. */
export function isCredentialHeader({ credentialPlaces }: RequestContext, lowerCaseName: string): boolean {
  return credentialPlaces.some(
    ({ header, cookie }) => header === lowerCaseName || (cookie !== null && lowerCaseName === 'cookie'),
  );
}

/** Whether an authentication plugin takes a credential from a cookie. */
export function isCredentialCookie({ credentialPlaces }: RequestContext, name: string): boolean {
  return credentialPlaces.some(({ cookie }) => cookie === name);
}

/** Whether an authentication plugin takes a credential from an argument of the query. */
export function isCredentialArgument({ credentialPlaces }: RequestContext, name: string): boolean {
  return credentialPlaces.some(({ argument }) => argument === name);
}

/** A value out of such a place, for a log. */
export function hideValue<T>(value: T | undefined): T | string | undefined {
  return value === undefined || value === '' ? value : redacted;
}

import type { StreamEvent } from '../framing/stream-event.ts';
import { parseJsonObject } from '../json.ts';

/**
 * The type of an event of those protocols that write it twice, as the event's name and in its JSON. Some servers that
 * imitate them leave out the name.
 *
 * @returns `''` if it is in neither place.
 */
export function eventType(event: StreamEvent): string {
  if (event.event !== 'message') return event.event;
  const type = parseJsonObject(event.data)?.['type'];
  return typeof type === 'string' ? type : '';
}

const MONTHS = ['Jan', 'Feb', 'Mar', 'Apr', 'May', 'Jun', 'Jul', 'Aug', 'Sep', 'Oct', 'Nov', 'Dec'] as const;

const two = (value: number): string => String(value).padStart(2, '0');

const clockTime = (date: Date): string => `${two(date.getHours())}:${two(date.getMinutes())}:${two(date.getSeconds())}`;

/** Offset of the local zone with the sign of ISO 8601: east of Greenwich is `+`. */
function zoneOffset(date: Date, separator: '' | ':'): string {
  const minutesEast = -date.getTimezoneOffset();
  const minutes = Math.abs(minutesEast);
  return `${minutesEast < 0 ? '-' : '+'}${two(Math.floor(minutes / 60))}${separator}${two(minutes % 60)}`;
}

/** Keeps the text of the last second asked for: a busy worker writes thousands of lines in one second. */
function cachedPerSecond(format: (date: Date) => string): (epochMs: number) => string {
  let cachedSecond = Number.NaN;
  let cachedText = '';
  return (epochMs) => {
    const second = Math.floor(epochMs / 1000);
    if (second !== cachedSecond) {
      cachedText = format(new Date(second * 1000));
      cachedSecond = second;
    }
    return cachedText;
  };
}

/** nginx's `$time_local`, `21/Nov/2026:21:30:00 +0000`, in the local zone. Takes milliseconds since the epoch. */
export const timeLocal = cachedPerSecond(
  (date) =>
    `${two(date.getDate())}/${MONTHS[date.getMonth()]}/${date.getFullYear()}:${clockTime(date)} ${zoneOffset(date, '')}`,
);

/** nginx's `$time_iso8601`, `2026-11-21T21:30:00+00:00`, in the local zone. Takes milliseconds since the epoch. */
export const timeIso8601 = cachedPerSecond(
  (date) =>
    `${date.getFullYear()}-${two(date.getMonth() + 1)}-${two(date.getDate())}T${clockTime(date)}${zoneOffset(date, ':')}`,
);

/** The time stamp of nginx's error log, `2026/11/21 21:30:00`, in the local zone. Takes milliseconds since the epoch. */
export const timeErrorLog = cachedPerSecond(
  (date) => `${date.getFullYear()}/${two(date.getMonth() + 1)}/${two(date.getDate())} ${clockTime(date)}`,
);

/** nginx's `$msec`: seconds since the epoch with three decimals, `1763760000.123`. Takes milliseconds since the epoch. */
export function msec(epochMs: number): string {
  return (epochMs / 1000).toFixed(3);
}

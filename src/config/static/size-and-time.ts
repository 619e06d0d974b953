/** A size or a time as config.yaml holds it: nginx's notation, or a plain integer. */
type NginxQuantity = string | number;

const sizeUnits: Readonly<Record<string, number>> = { '': 1, k: 1024, m: 1024 ** 2, g: 1024 ** 3 };

const timeUnitsMs: Readonly<Record<string, number>> = {
  ms: 1,
  s: 1000,
  m: 60_000,
  h: 3_600_000,
  d: 86_400_000,
  w: 7 * 86_400_000,
  M: 30 * 86_400_000,
  y: 365 * 86_400_000,
};

/**
 * Reads a size such as `10m`, `512k`, `1g` or a plain number of bytes. https://nginx.org/en/docs/syntax.html
 *
 * @returns Bytes, or null when it is not a size.
 */
export function parseSize(value: NginxQuantity): number | null {
  const match = /^(\d+)([kmg]?)$/i.exec(String(value));
  return match ? toSafeInteger(Number(match[1]) * (sizeUnits[(match[2] ?? '').toLowerCase()] ?? NaN)) : null;
}

/**
 * Reads a time such as `60s`, `500ms`, `1h 30m` or a plain number of seconds. https://nginx.org/en/docs/syntax.html
 *
 * @returns Milliseconds, or null when it is not a time.
 */
export function parseTime(value: NginxQuantity): number | null {
  const text = String(value);
  if (/^\d+$/.test(text)) return toSafeInteger(Number(text) * 1000);
  if (!/^(\d+(ms|[smhdwMy])\s*)+$/.test(text)) return null;
  let total = 0;
  for (const [, amount, unit = ''] of text.matchAll(/(\d+)(ms|[smhdwMy])/g)) {
    total += Number(amount) * (timeUnitsMs[unit] ?? NaN);
  }
  return toSafeInteger(total);
}

/** Bytes of a size that the loader has checked. @throws TypeError for anything else. */
export function toBytes(value: NginxQuantity): number {
  return checked(parseSize(value), 'size', value);
}

/** Milliseconds of a time that the loader has checked. @throws TypeError for anything else. */
export function toMilliseconds(value: NginxQuantity): number {
  return checked(parseTime(value), 'time', value);
}

function checked(parsed: number | null, what: string, value: NginxQuantity): number {
  if (parsed === null) throw new TypeError(`not a ${what}: ${JSON.stringify(value)}`);
  return parsed;
}

function toSafeInteger(value: number): number | null {
  return Number.isSafeInteger(value) ? value : null;
}

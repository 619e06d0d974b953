import { readFileSync } from 'node:fs';

/**
 * Fills in a file with `{{name}}` in it.
 *
 * @throws Error for a name without a value.
 */
export function fillTemplate(file: URL, values: Readonly<Record<string, string | number>>): string {
  return readFileSync(file, 'utf8').replaceAll(/\{\{(\w+)\}\}/g, (_, name: string) => {
    const value = values[name];
    if (value === undefined) throw new Error(`${file.pathname} has {{${name}}}, which nobody fills in`);
    return String(value);
  });
}

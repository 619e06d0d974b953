import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { describe, test } from 'node:test';
import { logVariableNames, resolveLogVariable } from '../src/pipeline/variables.ts';
import { checkAccessLogFormat } from '../src/proxy/access-log.ts';

const page = readText('../docs/access-log.md');
/** In the first column of a table: `$request_time`, or with the family's placeholder `$http_NAME`. */
const documented = Array.from(page.matchAll(/^\| `\$(\w+)`/gm), ([, name = '']) => name);

describe('docs/access-log.md', () => {
  test('has every variable of the code', () => {
    const router = readText('../src/router/variables.ts');
    const names = matches(router, /^ {2}\['(\w+)', /gm);
    const families = matches(router, /name\.startsWith\('(\w+_)'\)/g);
    // A change of how the code declares them must not pass for "there are none".
    assert.ok(names.includes('remote_addr') && families.includes('http_'), 'variables.ts declares them in another way');

    const isFamily = (name: string): boolean => [...families, 'sent_http_'].some((prefix) => name.startsWith(prefix));
    const expected = [...names, ...logVariableNames.filter((name) => !isFamily(name))];
    const missing = [...expected, ...families.map((prefix) => `${prefix}NAME`), 'sent_http_NAME'].filter(
      (name) => !documented.includes(name),
    );
    assert.deepEqual(missing, []);
  });

  test('has each variable once, and none that does not exist', () => {
    assert.deepEqual(
      documented.filter((name) => resolveLogVariable(name) === null),
      [],
    );
    assert.deepEqual(
      documented.filter((name, index) => documented.indexOf(name) !== index),
      [],
    );
  });

  test('shows a format that can be used', () => {
    const format = /access_log_format: (".*")$/m.exec(page)?.[1];
    assert.ok(format);
    assert.equal(checkAccessLogFormat(String(JSON.parse(format))), null);
  });
});

function matches(text: string, pattern: RegExp): string[] {
  return Array.from(text.matchAll(pattern), ([, name = '']) => name);
}

function readText(path: string): string {
  return readFileSync(new URL(path, import.meta.url), 'utf8');
}

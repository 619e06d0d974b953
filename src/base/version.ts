import { readFileSync } from 'node:fs';

/** Version of this package: package.json lies two levels up, from the sources as well as from dist/. */
export const version = readVersion();

/** What the `Server` header calls the gateway. */
export const productToken = `Weir/${version}`;

function readVersion(): string {
  const manifest: unknown = JSON.parse(readFileSync(new URL('../../package.json', import.meta.url), 'utf8'));
  const found: unknown =
    typeof manifest === 'object' && manifest !== null && 'version' in manifest ? manifest.version : '';
  return typeof found === 'string' ? found : '';
}

/** A call of the Admin API that a page shows. */
interface AdminExample {
  /** Below `/apisix/admin/`. */
  readonly path: string;
  readonly body: unknown;
}

/** The shell commands of a page that a reader can run as they are: blocks of `sh` that begin with curl. */
export function runnableBlocks(page: string): string[] {
  return Array.from(page.matchAll(/^```sh\n([^]*?)^```$/gm), ([, script = '']) => script).filter((script) =>
    script.startsWith('curl '),
  );
}

/**
 * What the commands of a page put through the Admin API. `'"$NAME"'` inside the JSON, which a shell replaces, stays as
 * the text `NAME`.
 *
 * @throws SyntaxError for a body that is no JSON.
 */
export function adminExamples(page: string): AdminExample[] {
  return runnableBlocks(page).flatMap((script) => {
    const plain = script.replaceAll(/'"\$(\w+)"'/g, '$1');
    const calls = plain.matchAll(/^curl "http:\/\/127\.0\.0\.1:9180\/apisix\/admin\/([^"]+)"[^']* -d '([^']*)'$/gm);
    return Array.from(calls, ([, path = '', body = '']) => ({ path, body: JSON.parse(body) as unknown }));
  });
}

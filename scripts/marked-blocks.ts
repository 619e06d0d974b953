/**
 * Fills the generated parts of a page that is otherwise written by hand. A part stands between two comments:
 *
 *     <!-- generated: fields -->
 *     ...
 *     <!-- end: fields -->
 *
 * @param page - The text of the page, with or without content between the comments.
 * @param blocks - What belongs into each part, by its name.
 * @returns The page with all parts filled; the same text if they were what they should be.
 * @throws Error naming a part that the page lacks, or has and nobody fills.
 */
export function fillBlocks(page: string, blocks: Readonly<Record<string, string>>): string {
  const missing = new Set(Object.keys(blocks));
  const filled = page.replaceAll(
    /(<!-- generated: ([\w-]+) -->\n)[^]*?(<!-- end: \2 -->)/g,
    (_, begin: string, name: string, end: string) => {
      const content = blocks[name];
      if (content === undefined) throw new Error(`nothing is generated for the part "${name}"`);
      missing.delete(name);
      return `${begin}\n${content.trim()}\n\n${end}`;
    },
  );
  if (missing.size > 0) throw new Error(`the page has no part named ${[...missing].join(', ')}`);
  return filled;
}

/** One row of a Markdown table. A `|` inside a cell would end it, so it is escaped. */
function tableRow(cells: readonly string[]): string {
  return `| ${cells.map((cell) => cell.replaceAll('|', '\\|')).join(' | ')} |`;
}

/** A Markdown table. */
export function table(head: readonly string[], rows: readonly (readonly string[])[]): string {
  return [tableRow(head), `|${'---|'.repeat(head.length)}`, ...rows.map(tableRow)].join('\n');
}

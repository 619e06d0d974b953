import { describeRun, legend, toTextTable } from './format.ts';
import type { Report, ScenarioResult } from './result.ts';

/** One scenario as tables for the terminal. */
export function scenarioToText({ id, title, groups, notes }: ScenarioResult): string {
  const parts = [`\n(${id}) ${title}`];
  for (const group of groups) {
    const { head, cases } = toTextTable(group);
    const widths = head.map((name, i) =>
      Math.max(name.length, ...cases.flatMap(({ lines }) => lines.map((line) => line[i]?.length ?? 0))),
    );
    const align = (line: readonly string[]): string =>
      line
        .map((text, i) =>
          i === 0 || i === line.length - 1 ? text.padEnd(widths[i] ?? 0) : text.padStart(widths[i] ?? 0),
        )
        .join('  ')
        .trimEnd();
    parts.push(`\n  ${group.title}`, `    ${align(head)}`);
    for (const { label, lines } of cases) parts.push(`  ${label}`, ...lines.map((line) => `    ${align(line)}`));
  }
  for (const note of notes) parts.push(`  ${note}`);
  return parts.join('\n');
}

/** A whole run as Markdown: bench/RESULTS.md. */
export function reportToMarkdown(report: Report): string {
  const parts = [
    '# Results of the last full run',
    '',
    `Written by \`npm run bench\`; how it measures: [README.md](README.md). ${legend}`,
    '',
    ...describeRun(report).map((line) => `- ${line}`),
  ];
  for (const { id, title, groups, notes } of report.scenarios) {
    parts.push('', `## (${id}) ${title}`);
    for (const group of groups) {
      const { head, cases } = toTextTable(group);
      parts.push(
        '',
        group.title,
        '',
        row(['case', ...head]),
        row(['---', ...head.map((_, i) => (i === 0 ? '---' : '--:'))]),
      );
      for (const { label, lines } of cases) parts.push(...lines.map((line, i) => row([i === 0 ? label : '', ...line])));
    }
    if (notes.length > 0) parts.push('', ...notes.map((note) => `- ${note}`));
  }
  return `${parts.join('\n')}\n`;
}

function row(cells: readonly string[]): string {
  return `| ${cells.map((cell) => cell.replaceAll('|', '\\|')).join(' | ')} |`;
}

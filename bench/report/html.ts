import { barChart, curveChart, escapeHtml } from './chart.ts';
import { describeRun, legend, toTextTable } from './format.ts';
import type { GroupResult, Report, ScenarioResult } from './result.ts';

const style = `
:root { color-scheme: light dark; --ink: #1d2430; --soft: #5b6675; --line: #d9dee5; --paper: #fff; --bad: #b3261e;
  --direct: #9aa5b1; --nginx: #2f9e62; --portkey: #d9822b; --weir: #2a66d9; --other0: #8e4ec6; --other1: #c2387a; --other2: #0f8a94; }
@media (prefers-color-scheme: dark) { :root { --ink: #e6eaf0; --soft: #9aa5b4; --line: #333c49; --paper: #14181f; --bad: #ff8a80;
  --direct: #77828f; --nginx: #4cbf80; --portkey: #ec9c4b; --weir: #6b9bff; --other0: #b57ee6; --other1: #e56aa4; --other2: #3fb8c2; } }
body { font: 15px/1.5 system-ui, sans-serif; color: var(--ink); background: var(--paper); max-width: 60rem; margin: 2rem auto; padding: 0 1rem; }
h1 { font-size: 1.6rem; } h2 { font-size: 1.25rem; margin-top: 3rem; border-bottom: 1px solid var(--line); } h3 { font-size: 1rem; margin: 2rem 0 .5rem; }
ul { padding-left: 1.2rem; color: var(--soft); } nav a { margin-right: 1rem; } a { color: var(--weir); }
.scroll { overflow-x: auto; } table { border-collapse: collapse; font-size: .85rem; font-variant-numeric: tabular-nums; }
th, td { padding: .2rem .6rem; text-align: right; white-space: nowrap; } th { font-weight: 600; color: var(--soft); }
td:first-child, th:first-child { text-align: left; } td:last-child { text-align: left; color: var(--bad); white-space: normal; min-width: 8rem; }
tr.case td, tr.case td:last-child { text-align: left; font-weight: 600; color: var(--ink); border-top: 1px solid var(--line); padding-top: .5rem; }
figure { margin: 1rem 0; } figcaption { color: var(--soft); font-size: .85rem; }
svg { width: 100%; height: auto; font: 12px system-ui, sans-serif; } svg text { fill: var(--ink); }
svg .case { font-weight: 600; } svg .subject { text-anchor: end; fill: var(--soft); } svg .tick { text-anchor: middle; fill: var(--soft); }
.grid { stroke: var(--line); } .curve { fill: none !important; stroke-width: 2; }
${['direct', 'nginx', 'portkey', 'weir', 'other0', 'other1', 'other2'].map((name) => `.c-${name} { fill: var(--${name}); stroke: var(--${name}); }`).join(' ')}
rect { stroke: none !important; }`;

/** A whole run as one HTML file that needs nothing else: charts are inline SVG. */
export function reportToHtml(report: Report): string {
  const links = report.scenarios.map(({ id, title }) => `<a href="#${id}">(${id}) ${escapeHtml(title)}</a>`);
  return `<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>Weir bench, ${escapeHtml(report.date.slice(0, 10))}</title><style>${style}</style></head><body>
<h1>Weir bench</h1>
<ul>${describeRun(report)
    .map((line) => `<li>${escapeHtml(line)}</li>`)
    .join('')}</ul>
<p>${escapeHtml(legend)}</p>
<nav>${links.join('')}</nav>
${report.scenarios.map(scenarioToHtml).join('\n')}
</body></html>
`;
}

function scenarioToHtml({ id, title, groups, notes }: ScenarioResult): string {
  const list = notes.length === 0 ? '' : `<ul>${notes.map((note) => `<li>${escapeHtml(note)}</li>`).join('')}</ul>`;
  return `<section><h2 id="${id}">(${id}) ${escapeHtml(title)}</h2>${groups.map(groupToHtml).join('')}${list}</section>`;
}

function groupToHtml(group: GroupResult): string {
  const { title, metrics, cases, curve } = group;
  const bars = metrics.filter(({ isCompared, isAdded }) => isCompared || isAdded);
  const charts = [
    ...(curve === null ? [] : cases.map((one) => curveChart(one, curve))),
    ...(bars.length === 0 ? metrics : bars).map((metric) => barChart(metric, cases)),
  ];
  return `<h3>${escapeHtml(title)}</h3>${tableToHtml(group)}${charts.join('')}`;
}

function tableToHtml(group: GroupResult): string {
  const { head, cases } = toTextTable(group);
  const cells = (tag: 'th' | 'td', texts: readonly string[]): string =>
    texts.map((text) => `<${tag}>${escapeHtml(text)}</${tag}>`).join('');
  const rows = cases.flatMap(({ label, lines }) => [
    `<tr class="case"><td colspan="${head.length}">${escapeHtml(label)}</td></tr>`,
    ...lines.map((line) => `<tr>${cells('td', line)}</tr>`),
  ]);
  return `<div class="scroll"><table><thead><tr>${cells('th', head)}</tr></thead><tbody>${rows.join('')}</tbody></table></div>`;
}

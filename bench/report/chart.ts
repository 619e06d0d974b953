import { formatNumber, formatValue } from './format.ts';
import type { CaseResult, CurveAxes, Metric, Row } from './result.ts';

const width = 860;
const labelWidth = 190;
const barHeight = 16;
const barGap = 3;
const plotWidth = width - labelWidth - 130;

/** Text for HTML and SVG. */
export function escapeHtml(text: string): string {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;').replaceAll('"', '&quot;');
}

/** The CSS class that gives a subject its colour: the same in all charts. Variants of Weir share Weir's. */
function colourClass(subject: string, index: number): string {
  const known = ['direct', 'nginx', 'portkey', 'weir'].find(
    (name) => subject === name || subject.startsWith(`${name},`),
  );
  return known === undefined ? `c-other${index % 3}` : `c-${known}`;
}

/** What a bar shows of a row: what it adds where that is measured, else its value. */
function shownValue({ added, values }: Row, { key, isAdded }: Metric): number | undefined {
  return isAdded ? added[key] : values[key];
}

/**
 * Horizontal bars of one metric, the subjects of each case side by side, all to one scale.
 *
 * @returns An SVG element; '' if there is nothing to show.
 */
export function barChart(metric: Metric, cases: readonly CaseResult[]): string {
  const shown = cases
    .map(({ label, rows }) => ({ label, rows: rows.filter((row) => shownValue(row, metric) !== undefined) }))
    .filter(({ rows }) => rows.length > 0);
  const largest = Math.max(0, ...shown.flatMap(({ rows }) => rows.map((row) => shownValue(row, metric) ?? 0)));
  if (largest === 0) return '';
  const parts: string[] = [];
  let y = 0;
  for (const { label, rows } of shown) {
    y += 18;
    parts.push(`<text class="case" x="0" y="${y}">${escapeHtml(label)}</text>`);
    y += 6;
    for (const [index, row] of rows.entries()) {
      const value = shownValue(row, metric) ?? 0;
      const length = Math.max(1, (Math.max(0, value) / largest) * plotWidth);
      const middle = y + barHeight / 2 + 4;
      const suffix = row.rigBound.includes(metric.key) ? ', rig-bound' : '';
      parts.push(
        `<text class="subject" x="${labelWidth - 8}" y="${middle}">${escapeHtml(row.subject)}</text>`,
        `<rect class="${colourClass(row.subject, index)}" x="${labelWidth}" y="${y}" width="${length.toFixed(1)}" height="${barHeight}" rx="2"/>`,
        `<text x="${(labelWidth + length + 6).toFixed(1)}" y="${middle}">${escapeHtml(formatValue(value, metric.unit) + suffix)}</text>`,
      );
      y += barHeight + barGap;
    }
  }
  const title = `${metric.isAdded ? 'added ' : ''}${metric.label}, ${metric.better} is better`;
  return figure(title, y + 6, parts);
}

const curveHeight = 300;
const margin = { left: 60, right: 110, top: 12, bottom: 40 };

/** Curves of all subjects of one case, both axes logarithmic. '' if there are none. */
export function curveChart({ label, rows }: CaseResult, axes: CurveAxes): string {
  const points = rows.flatMap(({ curve }) => curve).filter(({ x, y }) => x > 0 && y > 0);
  if (points.length === 0) return '';
  const x = logScale(
    points.map((point) => point.x),
    margin.left,
    width - margin.right,
  );
  const y = logScale(
    points.map((point) => point.y),
    curveHeight - margin.bottom,
    margin.top,
  );
  const bottom = curveHeight - margin.bottom;
  const parts = [
    ...x.ticks.map((tick) => {
      const at = x.at(tick).toFixed(1);
      return `<line class="grid" x1="${at}" x2="${at}" y1="${margin.top}" y2="${bottom}"/><text class="tick" x="${at}" y="${bottom + 16}">${formatTick(tick)}</text>`;
    }),
    ...y.ticks.map((tick) => {
      const at = y.at(tick);
      return `<line class="grid" x1="${margin.left}" x2="${width - margin.right}" y1="${at.toFixed(1)}" y2="${at.toFixed(1)}"/><text class="subject" x="${margin.left - 8}" y="${(at + 4).toFixed(1)}">${formatTick(tick)}</text>`;
    }),
    `<text class="tick" x="${(margin.left + width - margin.right) / 2}" y="${curveHeight - 6}">${escapeHtml(axes.x)}</text>`,
  ];
  for (const [index, { subject, curve }] of rows.entries()) {
    const drawn = curve.filter((point) => point.x > 0 && point.y > 0);
    const last = drawn.at(-1);
    if (last === undefined) continue;
    const colour = colourClass(subject, index);
    const path = drawn.map((point) => `${x.at(point.x).toFixed(1)},${y.at(point.y).toFixed(1)}`);
    parts.push(
      `<polyline class="curve ${colour}" points="${path.join(' ')}"/>`,
      ...path.map((at) => `<circle class="${colour}" cx="${at.split(',')[0]}" cy="${at.split(',')[1]}" r="3"/>`),
      `<text x="${(x.at(last.x) + 8).toFixed(1)}" y="${(y.at(last.y) + 4).toFixed(1)}">${escapeHtml(subject)}</text>`,
    );
  }
  return figure(`${axes.y} over ${axes.x}, ${label}`, curveHeight, parts);
}

function figure(title: string, height: number, parts: readonly string[]): string {
  const caption = escapeHtml(title);
  return `<figure><figcaption>${caption}</figcaption><svg viewBox="0 0 ${width} ${height}" role="img" aria-label="${caption}">${parts.join('')}</svg></figure>`;
}

interface Scale {
  readonly ticks: readonly number[];
  at(value: number): number;
}

/** A logarithmic axis over whole decades, from one end of the picture to the other. */
function logScale(values: readonly number[], from: number, to: number): Scale {
  const low = Math.floor(Math.log10(Math.min(...values)));
  const high = Math.max(low + 1, Math.ceil(Math.log10(Math.max(...values))));
  const decades = Array.from({ length: high - low + 1 }, (_, i) => 10 ** (low + i));
  return { ticks: decades, at: (value) => from + ((Math.log10(value) - low) / (high - low)) * (to - from) };
}

function formatTick(value: number): string {
  return value >= 1 ? value.toLocaleString('en') : formatNumber(value);
}

import type { DocumentItem } from '../../config/store/standalone-document.ts';
import type { ImportOutcome, ImportPlan } from './import-plan.ts';
import type { TransferProblem } from './reading.ts';
import { writeOrder } from './translate.ts';

const columns = ['created', 'changed', 'unchanged', 'deleted', 'left out'] as const;

interface Row {
  readonly kind: string;
  readonly column: (typeof columns)[number];
}

/** One line, such as `routes/1 plugins.serverless-pre-function: Weir has no such plugin`. */
export function formatProblem({ kind, id, field, reason }: TransferProblem): string {
  const name = id === '' ? kind : `${kind}/${id}`;
  return `${field === '' ? name : `${name} ${field}`}: ${reason}`;
}

/**
 * How many resources of each kind were created, changed, found unchanged, deleted, and left out.
 *
 * @returns A table with a row for each kind that there is; '' when there is none.
 */
export function formatSummary(summary: {
  readonly done: ImportOutcome['done'];
  readonly unchanged: readonly DocumentItem[];
  readonly leftOut: readonly TransferProblem[];
}): string {
  // A resource may have several problems.
  const leftOut = new Map(summary.leftOut.map((problem) => [`${problem.kind}/${problem.id}`, problem]));
  const rows: Row[] = [
    ...summary.done.map(({ kind, action }) => ({ kind, column: action })),
    ...summary.unchanged.map(({ kind }) => ({ kind, column: 'unchanged' as const })),
    ...[...leftOut.values()].map(({ kind }) => ({ kind, column: 'left out' as const })),
  ];
  const found = new Set(rows.map(({ kind }) => kind));
  const kinds = [...writeOrder, ...[...found].filter((kind) => !writeOrder.includes(kind))].filter((kind) =>
    found.has(kind),
  );
  if (kinds.length === 0) return '';
  const count = (kind: string, column: string): number =>
    rows.filter((row) => row.kind === kind && row.column === column).length;
  const header = ['', ...columns];
  const body = kinds.map((kind) => [kind, ...columns.map((column) => String(count(kind, column)))]);
  const width = Math.max(...kinds.map((kind) => kind.length));
  const lines = [header, ...body].map(([first = '', ...cells]) =>
    [first.padEnd(width), ...cells.map((cell) => cell.padStart(9))].join(' ').trimEnd(),
  );
  return lines.join('\n');
}

/** What a plan would do if it were carried out without a refusal. */
export function toExpectedOutcome({ writes, deletions }: ImportPlan): ImportOutcome {
  return {
    done: [
      ...writes.map(({ item, action }) => ({ kind: item.kind, action })),
      ...deletions.map(({ kind }) => ({ kind, action: 'deleted' as const })),
    ],
    refused: [],
    stopped: null,
  };
}

import { isDeepStrictEqual } from 'node:util';
import { resources } from '../../config/resources.ts';
import type { DocumentItem } from '../../config/store/standalone-document.ts';
import { CommandError } from '../command-error.ts';
import type { AdminClient } from './admin-client.ts';
import type { TransferProblem } from './reading.ts';
import { writeOrder } from './translate.ts';

type Value = Readonly<Record<string, unknown>>;

interface PlannedWrite {
  readonly item: DocumentItem;
  readonly action: 'created' | 'changed';
}

/** What an import does to a gateway, in this order. */
export interface ImportPlan {
  readonly writes: readonly PlannedWrite[];
  readonly unchanged: readonly DocumentItem[];
  readonly deletions: readonly Pick<DocumentItem, 'kind' | 'id'>[];
}

/** What an import has done. */
export interface ImportOutcome {
  readonly done: readonly { readonly kind: string; readonly action: 'created' | 'changed' | 'deleted' }[];
  /** What the gateway has refused. */
  readonly refused: readonly TransferProblem[];
  /** Why the rest was not tried, or `null`. */
  readonly stopped: string | null;
}

interface Refusal {
  readonly write: PlannedWrite;
  readonly problem: TransferProblem;
}

interface PlanOptions {
  /** What shall be there, each behind what it refers to. */
  readonly items: readonly DocumentItem[];
  /** What the gateway has. */
  readonly present: readonly DocumentItem[];
  /** What of that shall go. */
  readonly isSuperfluous: (item: DocumentItem) => boolean;
}

/** Compares by value, so that an import that was done already is none. */
export function planImport({ items, present, isSuperfluous }: PlanOptions): ImportPlan {
  const old = new Map(present.map((item) => [`${item.kind}/${item.id}`, item]));
  const writes: PlannedWrite[] = [];
  const unchanged: DocumentItem[] = [];
  for (const item of items) {
    const there = old.get(`${item.kind}/${item.id}`);
    if (there === undefined) writes.push({ item, action: 'created' });
    else if (isSame(item, there)) unchanged.push(item);
    else writes.push({ item, action: 'changed' });
  }
  const deletions = present.filter((item) => writeOrder.includes(item.kind) && isSuperfluous(item));
  // What refers to others goes before them.
  deletions.sort((a, b) => writeOrder.indexOf(b.kind) - writeOrder.indexOf(a.kind));
  return { writes, unchanged, deletions };
}

/** Carries a plan out, one resource after the other. A refusal stops nothing; a gateway that is away stops everything. */
export async function applyPlan({ writes, deletions }: ImportPlan, client: AdminClient): Promise<ImportOutcome> {
  const done: { kind: string; action: 'created' | 'changed' | 'deleted' }[] = [];
  const write = async (planned: readonly PlannedWrite[], refusals: Refusal[]): Promise<void> => {
    for (const write of planned) {
      const { kind, id } = write.item;
      const reason = await client.put(pathOf(write.item), toBody(write.item));
      if (reason === null) done.push({ kind, action: write.action });
      else refusals.push({ write, problem: { kind, id, field: '', reason } });
    }
  };
  let refusals: Refusal[] = [];
  const kept: TransferProblem[] = [];
  let stopped: string | null = null;
  try {
    await write(writes, refusals);
    for (const { kind, id } of deletions) {
      const reason = await client.delete(pathOf({ kind, id }));
      if (reason === null) done.push({ kind, action: 'deleted' });
      else kept.push({ kind, id, field: '', reason });
    }
    if (done.length > 0 && refusals.length > 0) {
      // What is gone or changed now may have been in the way, such as another global rule with the same plugin.
      const again: Refusal[] = [];
      await write(
        refusals.map(({ write }) => write),
        again,
      );
      refusals = again;
    }
  } catch (error) {
    if (!(error instanceof CommandError)) throw error;
    stopped = error.message;
  }
  return { done, refused: [...refusals.map(({ problem }) => problem), ...kept], stopped };
}

/** The Admin API sets the times, and the path says the id. */
function toBody({ value }: DocumentItem): Value {
  const { id: _, create_time: _created, update_time: _updated, ...body } = value;
  return body;
}

/** Fields that are never told, such as private keys, cannot be compared: each belongs to a certificate, which is told. */
function isSame(item: DocumentItem, there: DocumentItem): boolean {
  const hidden = resources.find(({ kind }) => kind === item.kind)?.hiddenFields ?? [];
  const told = (value: Value): Value =>
    Object.fromEntries(Object.entries(value).filter(([key]) => !hidden.includes(key)));
  return isDeepStrictEqual(told(toBody(item)), told(toBody(there)));
}

function pathOf({ kind, id }: Pick<DocumentItem, 'kind' | 'id'>): string {
  const segments = id.split('/').map(encodeURIComponent);
  if (kind === 'credentials') return `consumers/${segments.join('/credentials/')}`;
  return `${kind}/${segments.join('/')}`;
}

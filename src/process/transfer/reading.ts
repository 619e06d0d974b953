import { type DocumentItem, type DocumentProblem, readDocument } from '../../config/store/standalone-document.ts';

/** A resource, or a part of one, that cannot go where it should. */
export interface TransferProblem {
  /** Plural, `routes`. */
  readonly kind: string;
  readonly id: string;
  /** Path of the field, `plugins.key-auth`; '' when it is the resource as a whole. */
  readonly field: string;
  /** One sentence without any credential. */
  readonly reason: string;
}

/** A configuration as it was found somewhere. */
export interface Reading {
  /** In order of creation, as far as that is known. */
  readonly items: readonly DocumentItem[];
  /** What is there and could not be read. */
  readonly problems: readonly TransferProblem[];
  /** What a person should know of. */
  readonly notes: readonly string[];
}

/** Takes a document of lists apart without judging what is in its items. */
export function readLists(document: Readonly<Record<string, unknown>>): Reading {
  const { items, problems } = readDocument(document, () => null, false);
  const enabled = items.filter(({ kind }) => kind === 'plugins');
  return {
    items: items.filter(({ kind }) => kind !== 'plugins'),
    problems: problems.map(toTransferProblem),
    notes:
      enabled.length === 0
        ? []
        : ['the list of enabled plugins is no resource: it belongs to `plugins` in config.yaml'],
  };
}

function toTransferProblem({ resource, id, reason }: DocumentProblem): TransferProblem {
  return { kind: resource, id, field: '', reason };
}

/** A prefix that a text begins with, and the next shorter one. */
export interface PrefixMatch<V> {
  readonly value: V;
  readonly shorter: PrefixMatch<V> | null;
}

/** A place in the radix tree. `label` is the text between the parent and this node. */
interface Node<V> {
  readonly label: string;
  /** The longest prefix that ends here or above. */
  readonly match: PrefixMatch<V> | null;
  readonly children: ReadonlyMap<number, Node<V>>;
}

type Entry<V> = readonly [prefix: string, value: V];

/**
 * Finds the longest of many prefixes that a text begins with. The cost is that of reading the text once up to the end of the
 * longest common part; it does not depend on how many prefixes there are, and nothing is allocated.
 *
 * @param values - Prefix (may be empty) -> value.
 * @returns A function that answers the longest prefix; the shorter ones hang on it in order.
 */
export function createPrefixIndex<V>(values: ReadonlyMap<string, V>): (text: string) => PrefixMatch<V> | null {
  const entries = [...values].sort(([left], [right]) => (left < right ? -1 : 1));
  const root = buildNode(entries, 0, { label: '', inherited: null });

  return function longestPrefix(text) {
    let node = root;
    let position = 0;
    for (;;) {
      const child = node.children.get(text.charCodeAt(position));
      if (child === undefined || !text.startsWith(child.label, position)) return node.match;
      position += child.label.length;
      node = child;
    }
  };
}

/** @param entries - Sorted; all begin with the same `depth` characters. */
function buildNode<V>(
  entries: readonly Entry<V>[],
  depth: number,
  { label, inherited }: { readonly label: string; readonly inherited: PrefixMatch<V> | null },
): Node<V> {
  const [first] = entries;
  const endsHere = first !== undefined && first[0].length === depth;
  const match = endsHere ? { value: first[1], shorter: inherited } : inherited;

  const children = new Map<number, Node<V>>();
  for (const group of groupByCharacter(endsHere ? entries.slice(1) : entries, depth)) {
    const [prefix] = group.entries[0];
    const childDepth = commonLength(prefix, group.entries.at(-1)?.[0] ?? prefix);
    const childLabel = prefix.slice(depth, childDepth);
    children.set(group.code, buildNode(group.entries, childDepth, { label: childLabel, inherited: match }));
  }
  return { label, match, children };
}

interface Group<V> {
  readonly code: number;
  readonly entries: [Entry<V>, ...Entry<V>[]];
}

function groupByCharacter<V>(entries: readonly Entry<V>[], depth: number): Group<V>[] {
  const groups: Group<V>[] = [];
  for (const entry of entries) {
    const code = entry[0].charCodeAt(depth);
    const current = groups.at(-1);
    if (current?.code === code) current.entries.push(entry);
    else groups.push({ code, entries: [entry] });
  }
  return groups;
}

function commonLength(left: string, right: string): number {
  let length = 0;
  while (length < left.length && left.charCodeAt(length) === right.charCodeAt(length)) length++;
  return length;
}

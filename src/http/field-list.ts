/** Changes of lists of fields (name, value, name, value, …), in any case. Each gives a new list. */

/** With this field in place of those of its name. */
export function withField(flat: readonly string[], name: string, value: string): string[] {
  const changed = withoutField(flat, name);
  changed.push(name, value);
  return changed;
}

/** With one more field. */
export function addedField(flat: readonly string[], name: string, value: string): string[] {
  return [...flat, name, value];
}

export function withoutField(flat: readonly string[], name: string): string[] {
  const lowerCaseName = name.toLowerCase();
  const kept: string[] = [];
  for (let i = 0; i < flat.length; i += 2) {
    const other = flat[i] ?? '';
    // Comparing lengths first spares most names their copy in lower case.
    if (other.length === name.length && other.toLowerCase() === lowerCaseName) continue;
    kept.push(other, flat[i + 1] ?? '');
  }
  return kept;
}

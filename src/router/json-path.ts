/** `*` stands for every element of an array and every value of an object. */
type Step = { readonly key: string | number } | '*';

/**
 * Compiles the part of JSONPath that APISIX's `post_arg.*` is used with: `model`, `model.version`, `messages[0].role`,
 * `messages[*].content[*].type`, `["a.b"]`.
 *
 * @returns A function that answers the value, for a path with `*` the list of all values found (undefined when none);
 *   null when the path cannot be read. Filters, slices, unions and `..` are not supported.
 */
export function compileJsonPath(path: string): ((root: unknown) => unknown) | null {
  const steps = parseSteps(path);
  if (steps === null) return null;
  if (!steps.includes('*')) return (root) => follow(root, steps);
  return (root) => {
    const found: unknown[] = [];
    collect(root, steps, found);
    return found.length === 0 ? undefined : found;
  };
}

function parseSteps(path: string): Step[] | null {
  const step = /(?:^|\.)(?<name>[^.[\]]+)|\[(?:(?<index>\d+|\*)|"(?<double>[^"]*)"|'(?<single>[^']*)')\]/y;
  const steps: Step[] = [];
  while (step.lastIndex < path.length) {
    const { name, index, double, single } = step.exec(path)?.groups ?? {};
    if (name === '*' || index === '*') steps.push('*');
    else if (index !== undefined) steps.push({ key: Number(index) });
    else {
      const key = name ?? double ?? single;
      if (key === undefined) return null;
      steps.push({ key });
    }
  }
  return steps.length === 0 ? null : steps;
}

function follow(root: unknown, steps: readonly Step[]): unknown {
  let value = root;
  for (const step of steps) {
    if (step === '*') return undefined;
    value = child(value, step.key);
  }
  return value;
}

function collect(value: unknown, steps: readonly Step[], found: unknown[]): void {
  const [step, ...rest] = steps;
  if (step === undefined) {
    if (value !== undefined && value !== null) found.push(value);
  } else if (step !== '*') {
    collect(child(value, step.key), rest, found);
  } else if (typeof value === 'object' && value !== null) {
    for (const element of Object.values(value)) collect(element, rest, found);
  }
}

function child(value: unknown, key: string | number): unknown {
  if (Array.isArray(value)) return typeof key === 'number' ? value[key] : undefined;
  if (typeof value !== 'object' || value === null || !Object.hasOwn(value, key)) return undefined;
  return Reflect.get(value, key);
}

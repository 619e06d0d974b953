/** A JSON Schema literal. Written `as const`, so that {@link Infer} can read its type. */
export type JsonSchema = Readonly<Record<string, unknown>>;

type Simplify<T> = { [K in keyof T]: T[K] };

type RequiredOf<S> = S extends { required: readonly (infer K)[] } ? K : never;

/** Keys that a value always has once defaults are filled: required ones and those with a default. */
type PresentKeys<P, S> = {
  [K in keyof P]: K extends RequiredOf<S> ? K : P[K] extends { default: unknown } ? K : never;
}[keyof P];

type InferProperties<P, S> = Simplify<
  { readonly [K in PresentKeys<P, S>]: Infer<P[K]> } & {
    readonly [K in Exclude<keyof P, PresentKeys<P, S>>]?: Infer<P[K]>;
  }
>;

type InferObject<S> = S extends { properties: infer P }
  ? InferProperties<P, S>
  : S extends { additionalProperties: infer A extends JsonSchema }
    ? { readonly [key: string]: Infer<A> }
    : S extends { patternProperties: infer P extends Record<string, JsonSchema> }
      ? { readonly [key: string]: Infer<P[keyof P]> }
      : { readonly [key: string]: unknown };

type InferByType<T, S> = T extends 'string'
  ? string
  : T extends 'integer' | 'number'
    ? number
    : T extends 'boolean'
      ? boolean
      : T extends 'null'
        ? null
        : T extends 'array'
          ? S extends { items: infer I }
            ? readonly Infer<I>[]
            : readonly unknown[]
          : T extends 'object'
            ? InferObject<S>
            : unknown;

/**
 * The TypeScript type of a value that a JSON Schema literal accepts, after defaults are filled.
 * Knows: const, enum, type (also a list), properties, required, default, items, additionalProperties,
 * patternProperties, oneOf, anyOf. Everything else constrains values, not types.
 */
export type Infer<S> = S extends { const: infer C }
  ? C
  : S extends { enum: readonly (infer E)[] }
    ? E
    : S extends { type: readonly (infer T)[] }
      ? InferByType<T, S>
      : S extends { type: infer T }
        ? InferByType<T, S>
        : S extends { oneOf: readonly (infer O)[] }
          ? Infer<O>
          : S extends { anyOf: readonly (infer O)[] }
            ? Infer<O>
            : unknown;

import { defineConfig, type OxlintOverride } from 'oxlint';

/**
 * The rooms of the house, lowest first. A room imports only rooms above it in this list (ARCHITECTURE.md);
 * this list is the only place where the order is written down for the linter.
 */
const rooms = [
  'base',
  'schema',
  'shared-memory',
  'http',
  'router',
  'upstream',
  'rate-limit',
  'cloud-auth',
  'secret-manager',
  'config',
  'observability',
  'llm',
  'pipeline',
  'forward',
  'plugins',
  'snapshot',
  'proxy',
  'admin',
  'demo',
  'process',
] as const;

const entryPoints = ['worker', 'main'];

const roomOrder: OxlintOverride[] = rooms.map((room, index) => {
  const below = rooms.slice(index + 1);
  return {
    files: [`src/${room}/**/*.ts`],
    rules: {
      'no-restricted-imports': [
        'error',
        {
          patterns: [
            ...below.map((other) => ({
              group: [`**/${other}/*`, `**/${other}/**`],
              message: `src/${room}/ may not import src/${other}/ (see the order in ARCHITECTURE.md). Move the shared part up, or pass it in from the composition root (src/main.ts, src/worker.ts).`,
            })),
            {
              group: entryPoints.map((name) => `**/${name}.ts`),
              message: 'Nothing imports the entry points; they hand their parts to the rooms.',
            },
          ],
        },
      ],
    },
  };
});

export default defineConfig({
  plugins: ['typescript', 'unicorn', 'oxc', 'import', 'promise', 'node'],
  options: { typeAware: true },
  categories: { correctness: 'error', suspicious: 'error' },
  rules: {
    'import/no-cycle': 'error',
    'max-lines': ['error', { max: 400, skipBlankLines: true, skipComments: true }],
    'max-params': ['error', { max: 4 }],
    'typescript/no-explicit-any': 'error',
    'typescript/no-non-null-assertion': 'error',
    'typescript/no-floating-promises': 'error',
    'typescript/consistent-type-imports': 'error',
    'no-console': 'error',
    eqeqeq: 'error',
    // Control characters are exactly what a protocol parser has to name.
    'no-control-regex': 'off',
    'no-await-in-loop': 'off',
    'no-underscore-dangle': 'off',
    // JSON Schema has a keyword named `then`.
    'unicorn/no-thenable': 'off',
    // Meant for browser windows; worker threads have no origin.
    'unicorn/require-post-message-target-origin': 'off',
    'no-shadow': 'off',
    'unicorn/no-array-sort': 'off',
    'unicorn/no-array-reverse': 'off',
    'unicorn/consistent-function-scoping': 'off',
    'import/no-unassigned-import': 'off',
    'import/no-named-as-default': 'off',
    'import/no-named-as-default-member': 'off',
    'promise/always-return': 'off',
    // What comes from outside is validated against its schema first and then narrowed once, at the border.
    'typescript/no-unsafe-type-assertion': 'off',
    // tsc's noImplicitReturns knows exhaustive switches, this rule does not.
    'typescript/consistent-return': 'off',
    'consistent-return': 'off',
  },
  overrides: [
    ...roomOrder,
    {
      files: ['test/**/*.ts', 'src/**/*.test.ts', 'scripts/**', 'bench/**'],
      // node:test returns promises that the runner itself awaits; scripts talk to a person.
      rules: {
        'typescript/no-floating-promises': 'off',
        'no-console': 'off',
        'max-lines': 'off',
        'typescript/no-unsafe-type-assertion': 'off',
      },
    },
  ],
  ignorePatterns: ['dist/**', 'node_modules/**'],
});

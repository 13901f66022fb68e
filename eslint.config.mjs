import tseslint from "typescript-eslint";

/** No project has them: AssemblyScript, and programs of Node that are plain JavaScript. */
const UNTYPED = ["**/*.mjs", "**/*.js", "**/*.cjs", "src/attribution/wasm/**"];

export default tseslint.config(
  { ignores: ["dist/", "dist-docs/", "share/", "node_modules/", ".venv/", "labextension/dist/", "test/.artifacts/"] },
  ...tseslint.configs.recommendedTypeChecked,
  { languageOptions: { parserOptions: { projectService: true, tsconfigRootDir: import.meta.dirname } } },
  {
    rules: {
      "@typescript-eslint/no-explicit-any": "error",
      "@typescript-eslint/no-unused-vars": ["error", { argsIgnorePattern: "^_" }],
      // One way to be private; the constructor's own parameters cannot be `#name`.
      "no-restricted-syntax": [
        "error",
        {
          selector:
            ":matches(PropertyDefinition, MethodDefinition[kind!='constructor'], AccessorProperty)[accessibility='private']",
          message: "Private members are #name; `private` is for parameters of a constructor.",
        },
      ],
      // An async function turns what it throws into a rejection, also where it has nothing to await.
      "@typescript-eslint/require-await": "off",
      // What a signal aborts with is passed on as it is.
      "@typescript-eslint/prefer-promise-reject-errors": [
        "error",
        { allowThrowingAny: true, allowThrowingUnknown: true },
      ],
      // Options are objects of functions; TypeScript itself checks `this` where it is declared.
      "@typescript-eslint/unbound-method": "off",
    },
  },
  {
    // Runs and models are what people wrap (`Object.create(run)`, a Proxy): `#name` would not be there.
    files: ["src/runtime/**", "test/support/*-model.ts"],
    rules: { "no-restricted-syntax": "off" },
  },
  {
    // Answers of a kernel or page are JSON, which each test looks at by what it expects.
    files: ["test/**"],
    rules: Object.fromEntries(
      ["argument", "assignment", "call", "member-access", "return"].map((use) => [
        `@typescript-eslint/no-unsafe-${use}`,
        "off",
      ]),
    ),
  },
  { files: UNTYPED, ...tseslint.configs.disableTypeChecked },
  { files: ["**/*.js", "**/*.cjs"], rules: { "@typescript-eslint/no-require-imports": "off" } },
);

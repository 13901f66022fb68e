import tseslint from "typescript-eslint";

export default tseslint.config(
  { ignores: ["dist/", "dist-docs/", "share/", "node_modules/", ".venv/", "labextension/dist/", "test/.artifacts/"] },
  ...tseslint.configs.recommended,
  {
    rules: {
      "@typescript-eslint/no-explicit-any": "error",
      "@typescript-eslint/no-unused-vars": ["error", { argsIgnorePattern: "^_" }],
    },
  },
  { files: ["**/*.js", "**/*.cjs"], rules: { "@typescript-eslint/no-require-imports": "off" } },
);

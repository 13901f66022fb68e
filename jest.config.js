/**
 * Tests are typed against `src/` and run against `dist/`, which `npm run build` made: workers, WebAssembly and packages
 * as users get them.
 */
module.exports = {
  testEnvironment: "node",
  // Only here are tests looked for: .venv and share/ carry package.json files with names of ours and of each other.
  roots: ["<rootDir>/test"],
  testMatch: ["<rootDir>/test/**/*.test.ts"],
  transform: {
    "^.+\\.ts$": [
      "@swc/jest",
      { jsc: { target: "es2022", parser: { syntax: "typescript" } }, module: { type: "commonjs" } },
    ],
  },
  moduleNameMapper: { "^(?:\\.\\./)+src/(.*)$": "<rootDir>/dist/$1" },
  // What takes seconds on an idle machine takes long on a busy one.
  testTimeout: 120000,
};

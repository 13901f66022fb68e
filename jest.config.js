/** Tests are typed against `src/` and run against `dist/`, which `npm run build` made: workers, WebAssembly and packages as users get them. */
module.exports = {
  testEnvironment: "node",
  testMatch: ["<rootDir>/test/**/*.test.ts"],
  transform: { "^.+\\.ts$": ["@swc/jest", { jsc: { target: "es2022", parser: { syntax: "typescript" } }, module: { type: "commonjs" } }] },
  moduleNameMapper: { "^(?:\\.\\./)+src/(.*)$": "<rootDir>/dist/$1" },
  testTimeout: 60000,
};

/** The API reference is made from the docstrings (`npm run docs`): every public export and member has one. */
import { spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { packageRoot } from "../support/kernel-client";

jest.setTimeout(180_000);

/** What TypeDoc says of the entry points: its warnings, without colours. */
function warnings(...options: string[]): string[] {
  const { stdout, stderr, status } = spawnSync(
    process.execPath,
    [join(packageRoot, "node_modules/typedoc/bin/typedoc"), "--emit", "none", ...options],
    { cwd: packageRoot, encoding: "utf8", maxBuffer: 64 << 20 },
  );
  const text = `${stdout}${stderr}`.replace(/\x1b\[[0-9;]*m/g, "");
  if (status === null || /\[error\]/.test(text)) throw new Error(text);
  return text.split("\n").filter((line) => line.startsWith("[warning]") && !/Found \d+ errors/.test(line));
}

test("every public export and member has a docstring, and every link of them leads somewhere", () => {
  expect(warnings()).toEqual([]);
});

test("one that has none is named", () => {
  const folder = mkdtempSync(join(tmpdir(), "lmt-docs-"));
  writeFileSync(join(folder, "bare.ts"), "export interface Bare {\n  readonly member: number;\n}\n");
  const own = JSON.parse(readFileSync(join(packageRoot, "typedoc.json"), "utf8")) as object;
  const tsconfig = join(folder, "tsconfig.json");
  writeFileSync(tsconfig, JSON.stringify({ files: ["bare.ts"], compilerOptions: { strict: true, types: [] } }));
  const options = join(folder, "typedoc.json");
  writeFileSync(options, JSON.stringify({ ...own, $schema: undefined, entryPoints: ["bare.ts"], tsconfig }));
  expect(warnings("--options", options).join("\n")).toMatch(
    /Bare\.member \(Property\).* does not have any documentation/,
  );
  rmSync(folder, { recursive: true });
});

/**
 * A test of a browser or a kernel that passes only at the second try counts as retried in what `npm test` closes with.
 */
import { execFileSync, spawnSync } from "node:child_process";
import fs from "node:fs";
import os from "node:os";
import path from "node:path";

const ROOT = path.resolve(__dirname, "..", "..");
const lib = (name: string): string => path.join(ROOT, "scripts", "lib", name);

test("the reporter names what was retried, and the closing lines count it before the last one", () => {
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), "lmt-retried-"));
  try {
    fs.writeFileSync(
      path.join(folder, "sometimes.test.js"),
      `let runs = 0;
      describe("a server", () => {
        test("sometimes answers", () => { if (++runs === 1) throw new Error("not yet"); });
        test("never answers", () => { throw new Error("never"); });
        test("always answers", () => {});
        test.todo("answers well");
      });`,
    );
    const file = path.join(folder, "counts.json");
    const config = JSON.stringify({
      rootDir: folder,
      testEnvironment: "node",
      transform: {},
      setupFilesAfterEnv: [lib("jest-retry.cjs")],
      reporters: [lib("jest-counts.cjs")],
    });
    spawnSync(process.execPath, [path.join(ROOT, "node_modules/jest/bin/jest.js"), "--config", config, "--runInBand"], {
      cwd: folder,
      env: { ...process.env, LM_TRANSPARENCY_COUNTS: file },
    });
    const counts = JSON.parse(fs.readFileSync(file, "utf8")) as Readonly<Record<string, number>> & {
      readonly retried: readonly string[];
    };
    expect(counts).toMatchObject({
      numPassedTests: 2,
      numFailedTests: 1,
      numTodoTests: 1,
      retried: ["a server sometimes answers", "a server never answers"],
    });

    const closing = execFileSync(
      process.execPath,
      [
        "--input-type=module",
        "-e",
        `const { Tally } = await import(${JSON.stringify(`file://${lib("tally.mjs")}`)});
        const tally = new Tally();
        tally.add("lint", 3, { passed: 1, failed: 0 });
        tally.add("browser", 61.4, { passed: 2, failed: 1, skipped: 1, retried: ${JSON.stringify(counts.retried)} });
        console.log(tally.lines().join("\\n"));`,
      ],
      { encoding: "utf8" },
    );
    expect(closing.split("\n")).toEqual([
      "",
      "lint             1 passed    0 failed  3 s",
      "browser          2 passed    1 failed 1 skipped 2 retried  61 s",
      "",
      "2 retried:",
      "  a server sometimes answers",
      "  a server never answers",
      "",
      "3 passed, 1 failed, 1 skipped",
      "",
    ]);
  } finally {
    fs.rmSync(folder, { recursive: true, force: true });
  }
}, 120_000);

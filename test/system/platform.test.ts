/** Where the package cannot run, library, kernel and command line say so in one sentence. */
import { spawnSync } from "node:child_process";
import fs from "node:fs";
import os from "node:os";
import path from "node:path";
import { host, whyNotHere } from "../../dist/system/platform.js";

const ROOT = path.resolve(__dirname, "..", "..");
const here = { node: "22.1.0", platform: "linux", arch: "x64", musl: false };

test("here it runs", () => {
  expect(whyNotHere(host())).toBeUndefined();
});

test.each([
  [{ node: "20.19.0" }, undefined],
  [{ node: "24.0.0", platform: "darwin", arch: "arm64" }, undefined],
  [{ platform: "win32" }, undefined],
  [{ node: "18.20.4" }, /^lm-transparency needs Node\.js 20\.19 or newer, and this is 18\.20\.4 /],
  [{ node: "20.18.3" }, /20\.19 or newer/],
  [{ platform: "darwin" }, /Intel processor/],
  [{ arch: "ppc64" }, /^lm-transparency does not run on linux with ppc64/],
  [{ platform: "freebsd" }, /^lm-transparency does not run on freebsd/],
  [{ musl: true }, /musl \(Alpine\)/],
] as const)("%j", (difference, expected) => {
  const said = whyNotHere({ ...here, ...difference });
  if (expected === undefined) expect(said).toBeUndefined();
  else expect(said).toMatch(expected);
});

test("library, kernel and command line say the same", () => {
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), "lmt-platform-"));
  const pretend = path.join(folder, "pretend.cjs");
  fs.writeFileSync(pretend, 'Object.defineProperty(process, "arch", { value: "ppc64" });');
  const run = (...args: string[]) =>
    spawnSync(process.execPath, ["-r", pretend, ...args], { encoding: "utf8", cwd: folder });
  const programs = [
    run(path.join(ROOT, "dist/jupyter/kernel/main.js"), "connection.json"),
    run(path.join(ROOT, "dist/cli/main.js"), "trace", "--model", "default", "--text", "x"),
  ];
  const library = run("-e", `require(${JSON.stringify(path.join(ROOT, "dist/index.js"))})`);
  fs.rmSync(folder, { recursive: true });
  for (const { status, stderr } of programs) {
    expect(status).toBe(1);
    expect(stderr).toMatch(/^lm-transparency does not run on \w+ with ppc64: [^\n]*\n$/);
  }
  expect(library.status).toBe(1);
  expect(library.stderr).toMatch(/Error: lm-transparency does not run on \w+ with ppc64: /);
});

/** Every relative link of the documents leads to a file that is there, and every anchor to a heading. */
import { existsSync, readFileSync, statSync } from "node:fs";
import { execFileSync } from "node:child_process";
import { dirname, join, resolve } from "node:path";
import { packageRoot } from "../support/kernel-client";

const documents = execFileSync("git", ["ls-files", "--cached", "--others", "--exclude-standard", "*.md"], {
  cwd: packageRoot,
  encoding: "utf8",
})
  .trim()
  .split("\n")
  .filter((name) => existsSync(join(packageRoot, name)));

/** As a registry's page makes them of headings. */
const anchorOf = (heading: string): string =>
  heading
    .toLowerCase()
    .replace(/[^\p{L}\p{N}\s_-]/gu, "")
    .trim()
    .replace(/\s/g, "-");

const anchorsOf = (text: string): string[] =>
  [...text.matchAll(/^#+\s+(.*)$/gm)].map(([, heading]) => anchorOf(heading));

test("there are documents", () => expect(documents.length).toBeGreaterThan(15));

test.each(documents)("%s", (name) => {
  // Code is no link.
  const text = readFileSync(join(packageRoot, name), "utf8").replace(/```[\s\S]*?```|`[^`\n]*`/g, "");
  const broken = [...text.matchAll(/\]\(([^)\s]+)\)/g)]
    .map(([, target]) => target)
    .filter((target) => !/^[a-z]+:/i.test(target))
    .filter((target) => {
      const [file, anchor] = target.split("#");
      const path = file === "" ? join(packageRoot, name) : resolve(packageRoot, dirname(name), file);
      if (!existsSync(path)) return true;
      if (anchor === undefined || !path.endsWith(".md") || statSync(path).isDirectory()) return false;
      return !anchorsOf(readFileSync(path, "utf8")).includes(anchor);
    });
  expect(broken).toEqual([]);
});

/** Files that the documents speak of and that are not in the tree: llama.cpp's, a worked example's, and what tests write. */
const ELSEWHERE = new Set(["src/llama-vocab.cpp", "widgets/elements/certainty.ts", "test/.artifacts"]);

test.each(documents)("%s names files that are there", (name) => {
  const text = readFileSync(join(packageRoot, name), "utf8").replace(/```[\s\S]*?```/g, "");
  const named = [...text.matchAll(/`((?:src|widgets|test|scripts|bench|labextension|schema|docs)\/[^`\s]*)`/g)]
    .map(([, path]) => path.split(":")[0].replace(/\/$/, ""))
    .filter((path) => !/[*{<…]|TARGET|format-N/.test(path) && !ELSEWHERE.has(path));
  expect(named.filter((path) => !existsSync(join(packageRoot, path)))).toEqual([]);
});

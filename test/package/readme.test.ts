/** What the README and the docs promise is there: every link's file, and a word for every direct dependency. */
import fs from "node:fs";
import path from "node:path";

const ROOT = path.resolve(__dirname, "..", "..");
const pages = [
  "README.md",
  ...fs
    .readdirSync(path.join(ROOT, "docs"))
    .filter((name) => name.endsWith(".md"))
    .map((name) => `docs/${name}`),
];

test.each(pages)("the links of %s lead somewhere", (page) => {
  const text = fs.readFileSync(path.join(ROOT, page), "utf8").replace(/```[\s\S]*?```/g, "");
  const broken = [...text.matchAll(/\]\((?!https?:|#|mailto:)([^)#\s]+)[^)]*\)/g)]
    .map((match) => match[1])
    .filter((link) => !fs.existsSync(path.join(ROOT, path.dirname(page), link)));
  expect(broken).toEqual([]);
});

test("the README says what every direct dependency is for", () => {
  const manifest = JSON.parse(fs.readFileSync(path.join(ROOT, "package.json"), "utf8")) as {
    dependencies: Record<string, string>;
    devDependencies: Record<string, string>;
  };
  const said = [...fs.readFileSync(path.join(ROOT, "README.md"), "utf8").matchAll(/`([@\w/.*-]+)`/g)].map(
    (match) => match[1],
  );
  const unsaid = [...Object.keys(manifest.dependencies), ...Object.keys(manifest.devDependencies)].filter(
    (name) => !said.some((word) => word === name || (word.endsWith("/*") && name.startsWith(word.slice(0, -1)))),
  );
  expect(unsaid).toEqual([]);
});

test("the README's picture is small enough for a page", () => {
  for (const name of fs.readdirSync(path.join(ROOT, "docs", "img")))
    expect(fs.statSync(path.join(ROOT, "docs", "img", name)).size).toBeLessThan(300_000);
});

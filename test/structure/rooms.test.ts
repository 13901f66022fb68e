import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";
import path from "node:path";
import { importsOf, ROOMS, roomOf, wallBetween } from "./rooms";

const root = path.join(__dirname, "../..");
const sources = execFileSync(
  "git",
  ["ls-files", "--cached", "--others", "--exclude-standard", "src", "widgets", "labextension"],
  { cwd: root, encoding: "utf8" },
)
  .split("\n")
  .filter((file) => file.endsWith(".ts") && !file.endsWith(".d.ts"));

test("every import stays within the walls", () => {
  const wrong: string[] = [];
  let seen = 0;
  for (const file of sources) {
    for (const name of importsOf(readFileSync(path.join(root, file), "utf8"))) {
      seen++;
      const sentence = wallBetween(file, path.posix.normalize(path.posix.join(path.posix.dirname(file), name)));
      if (sentence !== undefined) wrong.push(sentence);
    }
  }
  expect(wrong).toEqual([]);
  expect(seen).toBeGreaterThan(400);
});

test("a new import across a wall is named with both rooms and the reason", () => {
  const [name] = importsOf('import { x } from "../engine/index";');
  expect(wallBetween("src/attribution/routes.ts", path.posix.normalize(`src/attribution/${name}`))).toBe(
    "src/attribution/routes.ts imports src/engine/index: src/attribution may import from src/requester.ts, src/model, src/threads, not from src/engine, because it is mathematics on arrays: it never sees ONNX, and browsers run its trace.",
  );
  expect(
    importsOf(
      'export * from "./a"; const b = require("../b"); await import("../c");\nimport type { D } from \'../d\';\nimport "../e";',
    ),
  ).toEqual(["./a", "../b", "../c", "../d", "../e"]);
});

test("the arrows make no circle, and every room of the table is there", () => {
  for (const room of Object.keys(ROOMS)) expect(sources.some((file) => roomOf(file) === room)).toBe(true);
  const below = (room: string, above: readonly string[]): void => {
    expect(above).not.toContain(room);
    for (const next of ROOMS[room].from) below(next, [...above, room]);
  };
  for (const room of Object.keys(ROOMS)) below(room, []);
});

test("docs/architecture.md draws the arrows of the table", () => {
  const text = readFileSync(path.join(root, "docs/architecture.md"), "utf8");
  for (const [room, { from }] of Object.entries(ROOMS)) {
    const row = text.split("\n").find((line) => line.startsWith(`| \`${room}\``));
    expect(row).toBeDefined();
    const named = [...row!.split("|")[2].matchAll(/`([^`]+)`/g)].map(([, name]) => name);
    expect(named.sort()).toEqual([...from].sort());
  }
});

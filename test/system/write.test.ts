import { spawnSync, execFileSync } from "node:child_process";
import {
  chmodSync,
  existsSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  readdirSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { FileError } from "../../src/system/errors";
import { writeFileAtomically } from "../../src/system/write";
import { root } from "../support/fixtures";

let folder: string;
beforeEach(() => (folder = mkdtempSync(join(tmpdir(), "lmt-write-"))));
afterEach(() => rmSync(folder, { recursive: true, force: true }));

async function failure(file: string, content: Parameters<typeof writeFileAtomically>[1] = "new"): Promise<string> {
  const error: unknown = await writeFileAtomically(file, content).then(
    () => undefined,
    (caught: unknown) => caught,
  );
  expect(error).toBeInstanceOf(FileError);
  return (error as Error).message;
}

test("a new file, and one in the place of another, whose permissions stay", async () => {
  const file = join(folder, "out.json");
  await writeFileAtomically(file, "first");
  expect(readFileSync(file, "utf8")).toBe("first");
  expect(statSync(file).mode & 0o777).toBe(0o666 & ~process.umask());
  chmodSync(file, 0o640);
  await writeFileAtomically(file, new DataView(Uint8Array.of(0, 104, 105, 0).buffer, 1, 2));
  expect(readFileSync(file, "utf8")).toBe("hi");
  expect(statSync(file).mode & 0o777).toBe(0o640);
  await writeFileAtomically(
    file,
    (async function* () {
      yield "pieces ";
      yield Uint8Array.of(111, 102);
    })(),
  );
  expect(readFileSync(file, "utf8")).toBe("pieces of");
  expect(readdirSync(folder)).toEqual(["out.json"]);
});

test("what fails half-way leaves the old file, and nothing else", async () => {
  const file = join(folder, "out.json");
  writeFileSync(file, "old");
  const halfway = async function* (): AsyncGenerator<string> {
    yield "new, but ";
    expect(readFileSync(file, "utf8")).toBe("old");
    throw new Error("interrupted");
  };
  await expect(writeFileAtomically(file, halfway())).rejects.toThrow("interrupted");
  await expect(writeFileAtomically(join(folder, "other"), halfway())).rejects.toThrow("interrupted");
  expect(readFileSync(file, "utf8")).toBe("old");
  expect(readdirSync(folder)).toEqual(["out.json"]);
});

test("a symlink stays, and leads to the new content; one that leads nowhere makes its target", async () => {
  mkdirSync(join(folder, "there"));
  for (const name of ["known", "new"]) symlinkSync(join("there", name), join(folder, name));
  writeFileSync(join(folder, "there/known"), "old");
  for (const name of ["known", "new"]) {
    await writeFileAtomically(join(folder, name), "content");
    expect(lstatSync(join(folder, name)).isSymbolicLink()).toBe(true);
    expect(readFileSync(join(folder, "there", name), "utf8")).toBe("content");
  }
  expect(readdirSync(join(folder, "there")).sort()).toEqual(["known", "new"]);
});

test("a device is written to, not replaced", async () => {
  await writeFileAtomically("/dev/null", "gone");
  expect(statSync("/dev/null").isCharacterDevice()).toBe(true);
  if (existsSync("/dev/full"))
    expect(await failure("/dev/full")).toBe("/dev/full cannot be written: the disk is full.");
});

test.each<[string, (folder: string) => string, RegExp]>([
  ["a folder", (at) => at, /cannot be written: it is a folder\.$/],
  ["a folder that is not there", (at) => join(at, "no/x"), /cannot be written: there is no such file or folder\.$/],
  [
    "a file for a folder",
    (at) => (writeFileSync(join(at, "f"), ""), join(at, "f/x")),
    /cannot be written: a part of its path is no folder\.$/,
  ],
  [
    "links in a circle",
    (at) => (symlinkSync("loop", join(at, "loop")), join(at, "loop")),
    /cannot be written: its links lead in a circle\.$/,
  ],
  ["a name that is too long", (at) => join(at, "x".repeat(300)), /cannot be written: its name is too long\.$/],
  ["NUL", (at) => join(at, "a\0b"), /cannot be written: a path cannot contain the character NUL\.$/],
])("%s", async (_, make, message) => {
  expect(await failure(make(folder))).toMatch(message);
});

// A file size limit stands for a full disk where none can be mounted: both fail in the middle of writing.
test("a full disk leaves the old file, in a process whose files may not grow", () => {
  const file = join(folder, "out.json");
  writeFileSync(file, "old");
  const program = `process.on("SIGXFSZ", () => {}); require(${JSON.stringify(join(root, "dist/system/write.js"))}).writeFileAtomically(process.argv[1], "x".repeat(5e6)).then(() => console.log("written"), (error) => console.log(error.message));`;
  const { stdout } = spawnSync(
    "sh",
    ["-c", 'ulimit -f 1000; exec "$0" -e "$1" "$2"', process.execPath, program, file],
    { encoding: "utf8" },
  );
  expect(stdout).toBe(`${file} cannot be written: it would be larger than a file may be here.\n`);
  expect(readFileSync(file, "utf8")).toBe("old");
  expect(readdirSync(folder)).toEqual(["out.json"]);
});

/** True where a small disk could be mounted at `at`. */
function mounted(at: string, options: string): boolean {
  mkdirSync(at);
  try {
    execFileSync("mount", ["-t", "tmpfs", "-o", options, "tmpfs", at], { stdio: "ignore" });
    return true;
  } catch {
    return false;
  }
}

test("a full disk is told, and the old file stays", async () => {
  const disk = join(folder, "disk");
  if (!mounted(disk, "size=256k")) return;
  try {
    const file = join(disk, "out.json");
    writeFileSync(file, "old");
    expect(await failure(file, "x".repeat(1e6))).toBe(`${file} cannot be written: the disk is full.`);
    expect(readFileSync(file, "utf8")).toBe("old");
    expect(readdirSync(disk)).toEqual(["out.json"]);
    execFileSync("mount", ["-o", "remount,ro", disk]);
    expect(await failure(file)).toBe(`${file} cannot be written: the disk is read-only.`);
    expect(await failure(join(disk, "other"))).toBe(`${join(disk, "other")} cannot be written: the disk is read-only.`);
  } finally {
    execFileSync("umount", [disk]);
  }
});

import { mkdirSync, mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { modelFolder, modelNames, root } from "../support/fixtures";
import { damaged, damagedJson, fuzz, type Random } from "./support";
import { tryModel } from "./models";

/** Folders of reference models, by name. */
const FOLDERS = [
  ...modelNames.map(modelFolder),
  ...readdirSync(join(root, "test/reference/families")).map((name) => join(root, "test/reference/families", name)),
];
const SOURCES = FOLDERS.map((folder) => ({ folder, bytes: readFileSync(join(folder, "model.safetensors")) })).filter(
  ({ bytes }) => bytes.length < 400_000,
);

let scratch: string;
beforeAll(() => (scratch = mkdtempSync(join(tmpdir(), "lmt-fuzz-safetensors-"))));
afterAll(() => rmSync(scratch, { recursive: true, force: true }));

/** The file with other header: its JSON damaged, or its bytes. */
function withHeader(bytes: Buffer, random: Random): Buffer {
  const length = Number(bytes.readBigUInt64LE(0));
  const header = bytes.subarray(8, 8 + length);
  const text = random.chance(0.6)
    ? Buffer.from(
        JSON.stringify(damagedJson(JSON.parse(header.toString("utf8")), random, random.pick([0.002, 0.01, 0.05]))) ??
          "null",
      )
    : damaged(header, random);
  const size = Buffer.alloc(8);
  size.writeBigUInt64LE(
    BigInt(random.chance(0.9) ? text.length : random.pick([0, 1, 2 ** 31, 2 ** 40, 99_999_999, text.length + 1])),
  );
  return Buffer.concat([size, text, bytes.subarray(8 + length)]);
}

fuzz({
  target: "safetensors",
  runs: 300,
  slowMs: 3000,
  // The first byte says which model's config goes with it.
  generate: (random) => {
    const which = random.int(0, SOURCES.length);
    const { bytes } = SOURCES[which];
    return Buffer.concat([Buffer.of(which), random.chance(0.75) ? withHeader(bytes, random) : damaged(bytes, random)]);
  },
  check: async (input) => {
    const folder = join(scratch, "model");
    mkdirSync(folder, { recursive: true });
    writeFileSync(
      join(folder, "config.json"),
      readFileSync(join(SOURCES[(input[0] ?? 0) % SOURCES.length].folder, "config.json")),
    );
    writeFileSync(join(folder, "model.safetensors"), input.subarray(1));
    return tryModel(folder);
  },
});

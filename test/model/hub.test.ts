import { spawn } from "node:child_process";
import {
  existsSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  readdirSync,
  readlinkSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import promises from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { ModelFileError } from "../../src/model/errors";
import { parseHubName } from "../../src/model/hub";
import { openModel } from "../../src/model/open";
import type { Progress } from "../../src/model/types";
import { modelFolder, root } from "../support/fixtures";
import { HubServer, gitSha, sha256 } from "./hub-server";

const COMMIT = "a".repeat(40);
const OLDER = "b".repeat(40);
const fixture = (name: string): Buffer => readFileSync(join(modelFolder("llama-tiny"), name));
const weights = fixture("model.safetensors");
const MODEL = Object.fromEntries(
  ["config.json", "tokenizer.json", "tokenizer_config.json", "model.safetensors"].map((name) => [name, fixture(name)]),
);
jest.setTimeout(120000);

const VARIABLES = [
  "HF_ENDPOINT",
  "HF_HUB_CACHE",
  "HF_HOME",
  "HF_TOKEN",
  "HF_HUB_OFFLINE",
  "HF_TOKEN_PATH",
  "HUGGINGFACE_HUB_CACHE",
  "TRANSFORMERS_OFFLINE",
  "HUGGING_FACE_HUB_TOKEN",
];

let server: HubServer;
let cache: string;
let url: string;
const before = Object.fromEntries(VARIABLES.map((name) => [name, process.env[name]]));

beforeEach(async () => {
  for (const name of VARIABLES) delete process.env[name];
  server = new HubServer();
  url = await server.start();
  cache = mkdtempSync(join(tmpdir(), "lmt-hub-"));
  process.env.HF_ENDPOINT = url;
  process.env.HF_HUB_CACHE = cache;
  process.env.HF_TOKEN_PATH = join(cache, "no-token");
  server.repos.set("org/tiny", { files: MODEL, refs: { main: COMMIT, "v1.0": OLDER, "refs/pr/1": OLDER } });
});
afterEach(async () => {
  await server.stop();
  rmSync(cache, { recursive: true, force: true });
  for (const name of VARIABLES) {
    if (before[name] === undefined) delete process.env[name];
    else process.env[name] = before[name];
  }
});

const storage = (): string => join(cache, "models--org--tiny");
const blobs = (): string[] =>
  existsSync(join(storage(), "blobs")) ? readdirSync(join(storage(), "blobs")).sort() : [];

async function failure(source: string, options: Parameters<typeof openModel>[1] = {}): Promise<string> {
  const error: unknown = await openModel(source, options).then(
    () => undefined,
    (caught: unknown) => caught,
  );
  expect(error).toBeInstanceOf(ModelFileError);
  const { message } = error as Error;
  expect(message).not.toContain("\n");
  return message;
}

describe("a model by its name", () => {
  test("is downloaded into the standard cache and opened", async () => {
    const files = await openModel("org/tiny");
    expect(files.name).toBe("org/tiny");
    expect(files.nParams).toBe(51680);
    expect(files.tokenizer.encode("The cat")).toEqual([0, 292, 287, 269]);
    expect([...files.weights.entries.values()][0].file).toBe(join(storage(), "blobs", sha256(weights)));
    files.weights.close();

    expect(readFileSync(join(storage(), "refs/main"), "utf8")).toBe(COMMIT);
    const link = join(storage(), "snapshots", COMMIT, "config.json");
    expect(readlinkSync(link)).toBe(join("..", "..", "blobs", gitSha(MODEL["config.json"])));
    expect(readFileSync(link)).toEqual(MODEL["config.json"]);
    expect(blobs()).toEqual(
      [
        ...Object.entries(MODEL).map(([name, bytes]) => (name === "model.safetensors" ? sha256(bytes) : gitSha(bytes))),
      ].sort(),
    );
  });

  test("is taken from the cache the second time", async () => {
    await openModel("org/tiny");
    server.requests.length = 0;
    await openModel("org/tiny");
    expect(server.downloads()).toEqual([]);
  });

  test("by commit asks nothing once it is there", async () => {
    await openModel(`org/tiny@${OLDER}`);
    server.requests.length = 0;
    await openModel("org/tiny", { revision: OLDER });
    expect(server.requests).toEqual([]);
  });

  test.each(["v1.0", "refs/pr/1"])("at the revision %s", async (revision) => {
    await openModel(`org/tiny@${revision}`);
    expect(readFileSync(join(storage(), "refs", revision), "utf8")).toBe(OLDER);
    expect(existsSync(join(storage(), "snapshots", OLDER, "model.safetensors"))).toBe(true);
  });

  test("in an own cache folder", async () => {
    const own = join(cache, "own");
    await openModel("org/tiny", { cacheDir: own });
    expect(existsSync(join(own, "models--org--tiny/refs/main"))).toBe(true);
    expect(existsSync(storage())).toBe(false);
  });

  test("in HF_HOME where HF_HUB_CACHE is not set", async () => {
    delete process.env.HF_HUB_CACHE;
    process.env.HF_HOME = join(cache, "home");
    await openModel("org/tiny");
    expect(existsSync(join(cache, "home/hub/models--org--tiny/refs/main"))).toBe(true);
  });

  test("from a mirror that lists no checksums: those of the files' headers count", async () => {
    server.repos.set("org/tiny", { files: MODEL, refs: { main: COMMIT }, bare: true });
    server.faults.set("model.safetensors", [{}, { corrupt: true }]);
    expect(await failure("org/tiny")).toMatch(/^"model\.safetensors" from .* is not what it should be/);
    await openModel("org/tiny");
    expect(blobs()).toContain(sha256(weights));
    expect(blobs()).toContain(gitSha(MODEL["config.json"]));
  });

  describe("whose large files lie on another server", () => {
    let elsewhere: HubServer;
    let cdn: string;
    beforeEach(async () => {
      elsewhere = new HubServer();
      cdn = await elsewhere.start();
      elsewhere.repos.set("org/tiny", { files: MODEL, refs: {} });
    });
    afterEach(() => elsewhere.stop());

    test.each([false, true])(
      "follows there without the token, cut connections included (listed without checksums: %j)",
      async (bare) => {
        server.repos.set("org/tiny", { files: MODEL, refs: { main: COMMIT }, token: "secret", cdn, bare });
        process.env.HF_TOKEN = "secret";
        elsewhere.faults.set("cdn", [{ cutAfter: 40000 }, {}]);
        expect((await openModel("org/tiny")).nParams).toBe(51680);
        expect(blobs()).toContain(sha256(weights));
        expect(elsewhere.stored).toEqual([{ range: "" }, { range: expect.stringMatching(/^bytes=\d+-$/) as string }]);
      },
    );

    test("and the rest of its list too: no token goes there", async () => {
      server.repos.set("org/tiny", { files: MODEL, refs: { main: COMMIT }, token: "secret", next: `${cdn}/cdn/list` });
      process.env.HF_TOKEN = "secret";
      await failure("org/tiny");
      expect(elsewhere.stored).toEqual([{ range: "", authorization: undefined }]);
    });

    test("that refuses is not taken for a gate", async () => {
      server.repos.set("org/tiny", { files: MODEL, refs: { main: COMMIT }, cdn });
      elsewhere.faults.set("cdn", [{ status: 403 }]);
      expect(await failure("org/tiny")).toBe(
        `${cdn}, to which ${url} sends for "model.safetensors", answered with status 403: try again, or look for a proxy or firewall in between.`,
      );
      await openModel("org/tiny");
    });
  });

  test("whose weights another program put into the cache: the vocabulary is fetched too", async () => {
    await openModel(`org/tiny@${OLDER}`);
    rmSync(join(storage(), "snapshots", OLDER, "tokenizer.json"));
    server.requests.length = 0;
    expect((await openModel(`org/tiny@${OLDER}`)).tokenizer.encode("The cat")).toEqual([0, 292, 287, 269]);
    expect(server.downloads()).toEqual([]);
    rmSync(join(storage(), "snapshots", OLDER, "tokenizer.json"));
    process.env.HF_ENDPOINT = "http://127.0.0.1:1";
    expect((await openModel(`org/tiny@${OLDER}`)).nParams).toBe(51680);
  }, 120000);

  test("where no symlinks can be made the files lie in the snapshot, once", async () => {
    const symlink = jest
      .spyOn(promises, "symlink")
      .mockRejectedValue(Object.assign(new Error("operation not permitted"), { code: "EPERM" }));
    try {
      expect((await openModel("org/tiny")).nParams).toBe(51680);
      const file = join(storage(), "snapshots", COMMIT, "model.safetensors");
      expect(lstatSync(file).isFile()).toBe(true);
      expect(blobs()).toEqual([]);
      server.requests.length = 0;
      expect((await openModel("org/tiny")).nParams).toBe(51680);
      expect(server.downloads()).toEqual([]);
    } finally {
      symlink.mockRestore();
    }
  });

  test("sharded", async () => {
    const index = Buffer.from(
      JSON.stringify({
        weight_map: Object.fromEntries(
          Object.keys(JSON.parse(weights.toString("utf8", 8, 8 + Number(weights.readBigUInt64LE(0)))) as object)
            .filter((name) => name !== "__metadata__")
            .map((name) => [name, "model-00001-of-00001.safetensors"]),
        ),
      }),
    );
    const { "model.safetensors": shard, ...small } = MODEL;
    server.repos.set("org/tiny", {
      files: { ...small, "model.safetensors.index.json": index, "model-00001-of-00001.safetensors": shard },
      refs: { main: COMMIT },
    });
    expect((await openModel("org/tiny")).nParams).toBe(51680);
    await server.stop();
    expect((await openModel("org/tiny")).nParams).toBe(51680);
    await server.start();
  });

  test("one GGUF file of many, also in a folder", async () => {
    const gguf = readFileSync(join(__dirname, "data/gguf/llama.gguf"));
    server.repos.set("org/tiny", {
      files: { "a.Q4_0.gguf": gguf, "b/a.Q8_0.gguf": gguf, "README.md": Buffer.from("hi") },
      refs: { main: COMMIT },
    });
    expect((await openModel("org/tiny")).architecture.family).toBe("llama");
    expect((await openModel("org/tiny/b/a.Q8_0.gguf@main")).architecture.family).toBe("llama");
    expect(await failure("org/tiny/c.gguf")).toBe('"org/tiny" has no file "c.gguf"; its GGUF files are a.Q4_0.gguf.');
    server.repos.set("org/tiny", { files: { "a.Q4_0.gguf": gguf, "a.Q8_0.gguf": gguf }, refs: { main: COMMIT } });
    expect(await failure("org/tiny")).toBe(
      'org/tiny has 2 GGUF files: name one of a.Q4_0.gguf or a.Q8_0.gguf, as "org/tiny/a.Q4_0.gguf".',
    );
  });

  test("shows its progress, which grows to the end", async () => {
    const seen: Progress[] = [];
    server.faults.set("model.safetensors", [{ cutAfter: 50000 }]);
    await openModel("org/tiny", { onProgress: (progress) => seen.push(progress) });
    const done = seen.map((progress) => progress.done);
    expect(done).toEqual([...done].sort((a, b) => a - b));
    const last = seen[seen.length - 1];
    expect(last).toEqual({
      stage: "downloading org/tiny",
      done: last.total,
      total: Object.values(MODEL).reduce((sum, bytes) => sum + bytes.length, 0),
      unit: "bytes",
    });
  });
});

describe("a download that is disturbed", () => {
  test("goes on where the connection was cut, more than once", async () => {
    server.faults.set("model.safetensors", [{ cutAfter: 40000 }, { cutAfter: 30000 }, { status: 503 }]);
    const files = await openModel("org/tiny");
    expect(files.nParams).toBe(51680);
    const asked = server.downloads().filter((request) => request.startsWith("model.safetensors"));
    // What was on its way when the connection was cut may not have arrived: each goes on from what is there.
    const starts = asked.map((request) => Number(/bytes=(\d+)-$/.exec(request)?.[1] ?? 0));
    expect(starts).toHaveLength(4);
    expect(starts[0]).toBe(0);
    expect(starts[1]).toBeGreaterThan(0);
    expect(starts[1]).toBeLessThanOrEqual(40_000);
    expect(starts[2]).toBeGreaterThan(starts[1]);
    expect(starts[2]).toBeLessThanOrEqual(starts[1] + 30_000);
    expect(starts[3]).toBe(starts[2]);
    expect(readFileSync(join(storage(), "snapshots", COMMIT, "model.safetensors"))).toEqual(weights);
  }, 120000);

  test("starts again where the server knows no ranges", async () => {
    server.faults.set("model.safetensors", [{ cutAfter: 40000 }, { ignoreRange: true }]);
    await openModel("org/tiny");
    expect(readFileSync(join(storage(), "snapshots", COMMIT, "model.safetensors"))).toEqual(weights);
  });

  test("with the wrong bytes is thrown away, and says so", async () => {
    server.faults.set("model.safetensors", [{ corrupt: true }]);
    expect(await failure("org/tiny")).toMatch(
      /^"model\.safetensors" from http:\/\/127\.0\.0\.1:\d+ is not what it should be \(checksum .{12}… instead of .{12}…\); it was thrown away\./,
    );
    expect(blobs().some((name) => name.startsWith(sha256(weights)))).toBe(false);
    await openModel("org/tiny");
  });

  test("with the wrong bytes in a small file is noticed too", async () => {
    server.faults.set("tokenizer.json", [{ corrupt: true }]);
    expect(await failure("org/tiny")).toMatch(/^"tokenizer\.json" from .* is not what it should be/);
  });

  test("after damaged remains begins from nothing", async () => {
    mkdirSync(join(storage(), "blobs"), { recursive: true });
    writeFileSync(join(storage(), "blobs", `${sha256(weights)}.incomplete`), Buffer.alloc(1000, 9));
    await openModel("org/tiny");
    expect(server.downloads().filter((request) => request.startsWith("model.safetensors"))).toEqual([
      "model.safetensors bytes=1000-",
      "model.safetensors",
    ]);
    expect(readFileSync(join(storage(), "snapshots", COMMIT, "model.safetensors"))).toEqual(weights);
    expect(blobs().filter((name) => name.endsWith(".incomplete"))).toEqual([]);
  });

  test("goes on from remains of huggingface_hub", async () => {
    mkdirSync(join(storage(), "blobs"), { recursive: true });
    writeFileSync(join(storage(), "blobs", `${sha256(weights)}.incomplete`), weights.subarray(0, 123456));
    await openModel("org/tiny");
    expect(server.downloads()).toContain("model.safetensors bytes=123456-");
    expect(blobs().filter((name) => name.endsWith(".incomplete"))).toEqual([]);
  });

  test("can be called off, and goes on later", async () => {
    server.faults.set("model.safetensors", [{ slow: 100 }]);
    const controller = new AbortController();
    const opening = openModel("org/tiny", {
      signal: controller.signal,
      onProgress: ({ done }) => {
        if (done > 80000) controller.abort(new Error("stopped by the reader"));
      },
    });
    await expect(opening).rejects.toThrow("stopped by the reader");
    expect(blobs()).toContain(`${sha256(weights)}.incomplete`);
    server.requests.length = 0;
    await openModel("org/tiny");
    expect(server.downloads()).toEqual([expect.stringMatching(/^model\.safetensors bytes=\d+-$/)]);
  });

  /** Opens the model in a process of its own, which prints the number of parameters. */
  function otherProcess(): { readonly kill: () => void; readonly end: Promise<string> } {
    const program = `require(${JSON.stringify(join(root, "dist/model/open.js"))}).openModel("org/tiny").then((files) => console.log(files.nParams))`;
    const child = spawn(process.execPath, ["-e", program], { env: process.env, stdio: ["ignore", "pipe", "inherit"] });
    let out = "";
    child.stdout.on("data", (text: Buffer) => (out += text.toString()));
    return {
      kill: () => child.kill("SIGKILL"),
      end: new Promise((resolve) => child.on("close", () => resolve(out.trim()))),
    };
  }

  test("of a process that was killed is taken over", async () => {
    server.faults.set("model.safetensors", [{ slow: 50 }]);
    const other = otherProcess();
    const partial = (): number =>
      Math.max(
        0,
        ...blobs()
          .filter((name) => name.endsWith(".incomplete") && name.startsWith(sha256(weights)))
          .map((name) => statSync(join(storage(), "blobs", name)).size),
      );
    while (partial() < 50000) await new Promise((resolve) => setTimeout(resolve, 20));
    other.kill();
    await other.end;
    server.requests.length = 0;
    await openModel("org/tiny");
    expect(server.downloads()).toEqual([expect.stringMatching(/^model\.safetensors bytes=[1-9]\d{4,}-$/)]);
    expect(blobs().filter((name) => name.endsWith(".incomplete"))).toEqual([]);
  }, 120000);

  test("does not disturb another process that downloads the same", async () => {
    server.faults.set("model.safetensors", [{ slow: 20 }, { slow: 20 }]);
    const results = await Promise.all([
      otherProcess().end,
      otherProcess().end,
      openModel("org/tiny").then((files) => String(files.nParams)),
    ]);
    expect(results).toEqual(["51680", "51680", "51680"]);
    expect(blobs().filter((name) => name.endsWith(".incomplete"))).toEqual([]);
  }, 120000);

  test("of a server that only cuts ends with a sentence", async () => {
    server.faults.set(
      "config.json",
      Array.from({ length: 20 }, () => ({ cutAfter: 0 })),
    );
    expect(await failure("org/tiny")).toMatch(
      /^http:\/\/127\.0\.0\.1:\d+ cannot be reached \(.*\), and "org\/tiny" is not in the cache/,
    );
  }, 120000);
});

describe("what cannot be had is said in a sentence that helps", () => {
  test("no such model", async () => {
    expect(await failure("org/none")).toBe(
      `There is no model "org/none" at ${url}, or it is private: check the name, or set HF_TOKEN to a token that may read it.`,
    );
    process.env.HF_TOKEN = "secret";
    expect(await failure("org/none")).toBe(
      `There is no model "org/none" at ${url} that the token in use may read: check the name and the token (HF_TOKEN).`,
    );
  });

  test("no such revision", async () => {
    expect(await failure("org/tiny@v9")).toBe(
      `"org/tiny" has no revision "v9": see ${url}/org/tiny/tree/main for its branches and tags.`,
    );
  });

  test("a private model opens with its token, from the environment or the file", async () => {
    server.repos.set("org/tiny", { files: MODEL, refs: { main: COMMIT }, token: "secret" });
    expect(await failure("org/tiny")).toContain("or it is private");
    process.env.HF_TOKEN = "secret";
    await openModel("org/tiny");
    delete process.env.HF_TOKEN;
    rmSync(storage(), { recursive: true });
    process.env.HF_TOKEN_PATH = join(cache, "token");
    writeFileSync(join(cache, "token"), "secret\n");
    await openModel("org/tiny");
  });

  test("a gated model", async () => {
    server.repos.set("org/tiny", { files: MODEL, refs: { main: COMMIT }, token: "secret", gated: true });
    expect(await failure("org/tiny")).toBe(
      `"org/tiny" is gated: accept its terms at ${url}/org/tiny while logged in, then set HF_TOKEN to a token of that account (${url}/settings/tokens).`,
    );
    process.env.HF_TOKEN = "other";
    expect(await failure("org/tiny")).toBe(
      `"org/tiny" is gated, and the token in use has no access: accept its terms at ${url}/org/tiny with the account that the token belongs to, or set HF_TOKEN to another.`,
    );
    process.env.HF_TOKEN = "secret";
    await openModel("org/tiny");
  });

  test("offline: from the cache, or a sentence", async () => {
    process.env.HF_HUB_OFFLINE = "1";
    expect(await failure("org/tiny")).toBe(
      `"org/tiny" is not in the cache (${storage()}), and HF_HUB_OFFLINE is set: unset it to download the model, or open a folder or .gguf file.`,
    );
    expect(server.requests).toEqual([]);
    delete process.env.HF_HUB_OFFLINE;
    await openModel("org/tiny");
    process.env.HF_HUB_OFFLINE = "1";
    server.requests.length = 0;
    expect((await openModel("org/tiny")).nParams).toBe(51680);
    expect(server.requests).toEqual([]);
  });

  test("a hub that is down: from the cache, or a sentence", async () => {
    await openModel("org/tiny");
    process.env.HF_ENDPOINT = "http://127.0.0.1:1";
    expect((await openModel("org/tiny")).nParams).toBe(51680);
    expect(await failure("org/other")).toMatch(
      /^http:\/\/127\.0\.0\.1:1 cannot be reached \(.+\), and "org\/other" is not in the cache \(.+\): connect, or open a folder or \.gguf file\.$/,
    );
  }, 120000);

  test("a family that is not served, before the weights are asked for", async () => {
    const config = Buffer.from(
      JSON.stringify({
        ...(JSON.parse(MODEL["config.json"].toString()) as object),
        model_type: "mamba",
        architectures: ["MambaForCausalLM"],
      }),
    );
    server.repos.set("org/tiny", { files: { ...MODEL, "config.json": config }, refs: { main: COMMIT } });
    expect(await failure("org/tiny")).toMatch(
      /^config\.json of "org\/tiny": model type "mamba" is not supported; arcee, .* are\.$/,
    );
    expect(server.downloads()).not.toContain("model.safetensors");
  });

  test("pickles alone, before anything is asked for", async () => {
    server.repos.set("org/tiny", {
      files: { "config.json": MODEL["config.json"], "pytorch_model.bin": Buffer.from("x") },
      refs: { main: COMMIT },
    });
    expect(await failure("org/tiny")).toMatch(
      /^org\/tiny has its weights only as pytorch_model\.bin, a Python pickle, which can run any code when it is read and so is not opened: save the model as safetensors/,
    );
    expect(server.downloads()).toEqual([]);
  });

  test("too many requests", async () => {
    server.faults.set("config.json", [{ status: 429 }]);
    expect(await failure("org/tiny")).toBe(
      `${url} asks to wait (too many requests): try again in a few minutes, or set HF_TOKEN, which raises the limit.`,
    );
  });

  test.each(["./none", "../x/y", "/no/such/folder", "~/models/x", "a/b/c", "no such model", "weights.safetensors", ""])(
    "%j is no name",
    async (source) => {
      expect(await failure(source)).toMatch(
        /^There is no folder or file ".*"; a model is named by a folder, a \.gguf file, or its name on the hub/,
      );
      expect(server.requests).toEqual([]);
    },
  );
});

test.each([
  ["gpt2", { id: "gpt2" }],
  ["org/name", { id: "org/name" }],
  ["org/name@v1.0", { id: "org/name", revision: "v1.0" }],
  ["org/name@refs/pr/3", { id: "org/name", revision: "refs/pr/3" }],
  ["Qwen/Qwen2.5-0.5B", { id: "Qwen/Qwen2.5-0.5B" }],
  ["org/name/model.Q4_K_M.gguf", { id: "org/name", file: "model.Q4_K_M.gguf" }],
  ["org/name/dir/model.gguf@main", { id: "org/name", file: "dir/model.gguf", revision: "main" }],
  ["model.gguf", undefined],
  ["a b", undefined],
  ["org/../x", undefined],
])("the name %j", (source, name) => {
  expect(parseHubName(source)).toEqual(name);
});

import { spawn } from "node:child_process";
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  readdirSync,
  rmSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import promises from "node:fs/promises";
import type { ServerResponse } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { ModelFileError } from "../../src/model/errors";
import { fetchFromHub, parseHubName } from "../../src/model/hub";
import { chooseQuantisation, quantisationOf, unsafePath, unsafeRevision } from "../../src/model/hub-names";
import { hubLimits } from "../../src/model/hub-requests";
import { openModel } from "../../src/model/open";
import { modelFolder } from "../support/fixtures";
import { HubServer, gitSha, sha256 } from "./hub-server";

setFlagsFromString("--expose-gc");
const gc = runInNewContext("gc") as () => void;

const COMMIT = "a".repeat(40);
const NEWER = "c".repeat(40);
const fixture = (name: string): Buffer => readFileSync(join(modelFolder("llama-tiny"), name));
const weights = fixture("model.safetensors");
const gguf = readFileSync(join(__dirname, "data/gguf/llama.gguf"));
const MODEL = Object.fromEntries(
  ["config.json", "tokenizer.json", "tokenizer_config.json", "model.safetensors"].map((name) => [name, fixture(name)]),
);
const PAGE = "<!doctype html><html><body>Please log in to the network</body></html>";
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
jest.setTimeout(60000);

let server: HubServer;
let cache: string;
let url: string;
const before = Object.fromEntries(VARIABLES.map((name) => [name, process.env[name]]));
const limits = { ...hubLimits };

beforeEach(async () => {
  for (const name of VARIABLES) delete process.env[name];
  server = new HubServer();
  url = await server.start();
  cache = mkdtempSync(join(tmpdir(), "lmt-hub-"));
  process.env.HF_ENDPOINT = url;
  process.env.HF_HUB_CACHE = cache;
  process.env.HF_TOKEN_PATH = join(cache, "no-token");
  server.repos.set("org/tiny", { files: MODEL, refs: { main: COMMIT } });
  Object.assign(hubLimits, { pauseMs: 2, longestPauseMs: 10 });
});
afterEach(async () => {
  await server.stop();
  rmSync(cache, { recursive: true, force: true });
  Object.assign(hubLimits, limits);
  jest.restoreAllMocks();
  for (const name of VARIABLES) {
    if (before[name] === undefined) delete process.env[name];
    else process.env[name] = before[name];
  }
});

const storage = (): string => join(cache, "models--org--tiny");
const blobs = (): string[] =>
  existsSync(join(storage(), "blobs")) ? readdirSync(join(storage(), "blobs")).sort() : [];
const remains = (): string[] => blobs().filter((name) => name.endsWith(".incomplete"));

async function failure(source: string, options: Parameters<typeof openModel>[1] = {}): Promise<string> {
  const error: unknown = await openModel(source, options).then(
    () => undefined,
    (caught: unknown) => caught,
  );
  expect(error).toBeInstanceOf(ModelFileError);
  const { message } = error as Error;
  expect(message).not.toMatch(/[\n\0]/);
  return message;
}

type Answer = (response: ServerResponse) => void;
/** Answers all requests whose path includes `text` in this way. */
const always = (text: string, answer: Answer): void =>
  void server.instead.set(
    text,
    Array.from({ length: 1000 }, () => (_, response) => answer(response)),
  );
const next = (text: string, ...answers: Answer[]): void =>
  void server.instead.set(
    text,
    answers.map((answer) => (_, response) => answer(response)),
  );
const drip = (response: ServerResponse, text = "[".repeat(100_000)): void => {
  response.writeHead(200, { "content-type": "application/json" });
  let at = 0;
  const timer = setInterval(() => response.write(text[at++]), 10);
  response.on("close", () => clearInterval(timer));
};

describe("a hub that keeps us waiting", () => {
  test.each<[string, Answer]>([
    ["never answers", () => undefined],
    [
      "never ends its answer",
      (response) => void response.writeHead(200, { "content-type": "application/json" }).write("{"),
    ],
  ])("%s: the limit comes, whatever is collected meanwhile", async (_, answer) => {
    Object.assign(hubLimits, { silenceMs: 400 });
    always("/revision/", answer);
    const collecting = setInterval(gc, 30);
    try {
      expect(await failure("org/tiny")).toBe(
        `${url} cannot be reached (no answer in time), and "org/tiny" is not in the cache (${storage()}): connect, or open a folder or .gguf file.`,
      );
    } finally {
      clearInterval(collecting);
    }
    expect(server.requests.length).toBe(1);
  });

  test.each(["/revision/", "/tree/", "/resolve/"])("a byte now and then at %s is no answer", async (place) => {
    Object.assign(hubLimits, { silenceMs: 200 });
    always(place, (response) => drip(response));
    expect(await failure("org/tiny")).toContain("cannot be reached (no answer in time)");
    expect(server.requests.length).toBeLessThan(10);
  });

  test("an answer that comes steadily, but for ever, ends at the limit on all of it", async () => {
    Object.assign(hubLimits, { answerMs: 300, progressBytes: 1 });
    always("/revision/", (response) => drip(response));
    expect(await failure("org/tiny")).toContain("cannot be reached (no whole answer in time)");
  });

  test("a download that is slow, but steady, goes through", async () => {
    Object.assign(hubLimits, { silenceMs: 400 });
    server.faults.set("model.safetensors", [{ slow: 100 }]);
    const start = performance.now();
    expect((await openModel("org/tiny")).nParams).toBe(51680);
    expect(performance.now() - start).toBeGreaterThan(800);
    expect(server.downloads().filter((request) => request.startsWith("model.safetensors"))).toEqual([
      "model.safetensors",
    ]);
  });

  test("our own thread that was busy is no silent hub", async () => {
    Object.assign(hubLimits, { silenceMs: 400 });
    always("/none/", () => undefined);
    const opening = openModel("org/tiny");
    await new Promise((done) => setTimeout(done, 1));
    const end = performance.now() + 700;
    while (performance.now() < end);
    expect((await opening).nParams).toBe(51680);
  });

  test("the caller's signal ends it at once, in the middle of an answer too", async () => {
    always("/revision/", (response) => drip(response));
    const controller = new AbortController();
    setTimeout(() => controller.abort(new Error("enough")), 100);
    await expect(openModel("org/tiny", { signal: controller.signal })).rejects.toThrow("enough");
  });
});

describe("what is no answer", () => {
  const html: Answer = (response) => void response.writeHead(200, { "content-type": "text/html" }).end(PAGE);
  const status =
    (code: number, headers = {}): Answer =>
    (response) =>
      void response.writeHead(code, headers).end("x");
  const json =
    (value: unknown): Answer =>
    (response) =>
      void response
        .writeHead(200, { "content-type": "application/json" })
        .end(typeof value === "string" ? value : JSON.stringify(value));
  const file = { type: "file", path: "config.json", size: 5, oid: "0".repeat(40) };

  test.each<[string, string, Answer, RegExp]>([
    [
      "a login page",
      "/revision/",
      html,
      /^http:.* answers with a web page: a login page of the network or a proxy stands in between/,
    ],
    ["a login page that says it is JSON", "/revision/", json(PAGE), /answers with a web page/],
    ["a login page instead of the list", "/tree/", html, /answers with a web page/],
    ["a login page instead of a file", "/resolve/", html, /answers with a web page instead of "config\.json"/],
    [
      "a proxy's page with status 403",
      "/revision/",
      (response) => void response.writeHead(403, { "content-type": "text/html" }).end(PAGE),
      /answers with a web page with status 403/,
    ],
    [
      "429",
      "/revision/",
      status(429),
      /asks to wait \(too many requests\): try again in a few minutes, or set HF_TOKEN/,
    ],
    ["429 for a file", "/resolve/", status(429), /asks to wait \(too many requests\)/],
    [
      "429 with seconds",
      "/revision/",
      status(429, { "retry-after": "3000" }),
      /asks to wait \(too many requests\): try again in 50 minutes, or/,
    ],
    [
      "503 with a date",
      "/tree/",
      (response) => void response.writeHead(503, { "retry-after": new Date(Date.now() + 90_400).toUTCString() }).end(),
      /is not ready \(status 503\): try again in (89|90|91) seconds\.$/,
    ],
    [
      "503 with a wait of a day",
      "/resolve/",
      status(503, { "retry-after": "86400" }),
      /is not ready \(status 503\): try again after \d{4}-\d\d-\d\d \d\d:\d\d UTC\.$/,
    ],
    ["429 with nonsense", "/revision/", status(429, { "retry-after": "1e99; soon" }), /try again in a few minutes/],
    ["500", "/revision/", status(500), /cannot be reached \(status 500\)/],
    ["502 for a file", "/resolve/", status(502), /cannot be reached \(status 502\)/],
    ["418", "/tree/", status(418), /answered with status 418 for "org\/tiny"/],
    [
      "a reset connection",
      "/revision/",
      (response) => void response.socket?.resetAndDestroy(),
      /cannot be reached \(the connection was cut\)/,
    ],
    [
      "no HTTP",
      "/revision/",
      (response) => void response.socket?.end("HELLO\r\n\r\n"),
      /cannot be reached \(what it answers is no HTTP\)/,
    ],
    ["an empty answer", "/revision/", json(""), /answers with an empty answer, which no hub does/],
    ["no JSON", "/tree/", json("[{"), /answers with what is no JSON/],
    ["null", "/revision/", json(null), /answers with what is no description of a model/],
    ["a number for a commit", "/revision/", json({ sha: 5 }), /answers with a model without a commit/],
    ["a commit that climbs", "/revision/", json({ sha: "../../../../x" }), /answers with a model without a commit/],
    ["a device for a commit", "/revision/", json({ sha: "nul" }), /answers with a model without a commit/],
    ["an object for a list", "/tree/", json({ error: "x" }), /answers with what is no list of files/],
    ["a list of numbers", "/tree/", json([1, 2]), /answers with what is no list of files/],
    ["a name that is none", "/tree/", json([{ ...file, path: 7 }]), /answers with a list of files without names/],
    [
      "a negative size",
      "/tree/",
      json([{ ...file, size: -5 }]),
      /answers with the file "config\.json" in a wrong form/,
    ],
    ["a size that is a text", "/tree/", json([{ ...file, size: "5" }]), /in a wrong form/],
    ["half a byte", "/tree/", json([{ ...file, lfs: { oid: "0".repeat(64), size: 0.5 } }]), /in a wrong form/],
    ["a checksum that is a number", "/tree/", json([{ ...file, oid: 5 }]), /in a wrong form/],
    [
      "a checksum that is a path",
      "/tree/",
      json([{ ...file, path: "a.gguf", oid: "../../../x" }]),
      /gives no checksum for "a\.gguf"/,
    ],
    ["nesting without end", "/tree/", json("[".repeat(200_000)), /answers with what is no JSON/],
    [
      "redirects in a circle",
      "/revision/",
      (response) => void response.writeHead(302, { location: "/api/models/org/tiny/revision/main" }).end(),
      /sends round in circles \(more than 10 redirects/,
    ],
    [
      "a redirect to a file",
      "/resolve/",
      status(302, { location: "file:///etc/passwd" }),
      /sends to "file:\/\/\/etc\/passwd", which is no address that may be followed/,
    ],
    [
      "a redirect to nowhere",
      "/revision/",
      status(302, { location: "http://[" }),
      /which is no address that may be followed/,
    ],
    [
      "a redirect with a password",
      "/revision/",
      status(302, { location: "http://a:b@127.0.0.1/" }),
      /which is no address that may be followed/,
    ],
    [
      "another file",
      "/resolve/",
      (response) => void response.writeHead(200, { "content-length": 3 }).end("abc"),
      /"config\.json" from .* has 3 bytes instead of \d+; nothing was kept of it/,
    ],
  ])("%s at %s: a sentence, or the model from the cache", async (_, place, answer, message) => {
    Object.assign(hubLimits, { patienceMs: 50 });
    always(place, answer);
    expect(await failure("org/tiny")).toMatch(message);
    server.instead.clear();
    await openModel("org/tiny");
    always(place, answer);
    // A newer commit: each of the questions is asked again.
    server.repos.set("org/tiny", {
      files: { ...MODEL, "config.json": Buffer.concat([MODEL["config.json"], Buffer.from("\n")]) },
      refs: { main: NEWER },
    });
    expect((await openModel("org/tiny")).nParams).toBe(51680);
    expect(remains()).toEqual([]);
  });

  test("an answer without an end is not kept", async () => {
    Object.assign(hubLimits, { answerBytes: 100_000 });
    always("/tree/", json(`[${"1,".repeat(80_000)}1]`));
    expect(await failure("org/tiny")).toMatch(/answers with an answer of more than 0 MiB/);
  });

  test("a short wait is waited for, by seconds and by date, and the model opens", async () => {
    next(
      "/revision/",
      status(429, { "retry-after": "0" }),
      status(503, { "retry-after": new Date(Date.now() - 5000).toUTCString() }),
    );
    next("/tree/", status(429, { "retry-after": "1" }));
    const start = performance.now();
    expect((await openModel("org/tiny")).nParams).toBe(51680);
    expect(performance.now() - start).toBeGreaterThan(990);
  });

  test("who asks to wait again and again is not asked for ever", async () => {
    Object.assign(hubLimits, { pauseMs: 5, longestPauseMs: 50, patienceMs: 300 });
    always("/revision/", status(429, { "retry-after": "0" }));
    expect(await failure("org/tiny")).toContain("asks to wait (too many requests)");
    expect(server.requests.length).toBeLessThan(20);
  });

  test("a list that goes on with itself, or without end, is bounded", async () => {
    const page =
      (link: string): Answer =>
      (response) =>
        void response.writeHead(200, { "content-type": "application/json", link: `<${link}>; rel="next"` }).end("[]");
    always("/tree/", page(`${url}/api/models/org/tiny/tree/${COMMIT}?cursor=1`));
    expect(await failure("org/tiny")).toContain("answers with a list of files that goes on with itself");
    let n = 0;
    always("/tree/", (response) => page(`${url}/api/models/org/tiny/tree/${COMMIT}?cursor=${n++}`)(response));
    expect(await failure("org/tiny")).toContain("answers with a list of files without an end");
    expect(n).toBe(200);
  });

  test("a login page does not cost what was downloaded already", async () => {
    mkdirSync(join(storage(), "blobs"), { recursive: true });
    writeFileSync(join(storage(), "blobs", `${sha256(weights)}.incomplete`), weights.subarray(0, 123456));
    server.instead.set("model.safetensors", [(_, response) => html(response)]);
    expect(await failure("org/tiny")).toContain("answers with a web page instead of");
    await openModel("org/tiny");
    expect(server.downloads().at(-1)).toBe("model.safetensors bytes=123456-");
  });
});

describe("the token", () => {
  let elsewhere: HubServer;
  let other: string;
  beforeEach(async () => {
    elsewhere = new HubServer();
    other = await elsewhere.start();
    elsewhere.repos.set("org/tiny", { files: MODEL, refs: {} });
    process.env.HF_TOKEN = "secret";
    server.repos.set("org/tiny", { files: MODEL, refs: { main: COMMIT }, token: "secret" });
  });
  afterEach(() => elsewhere.stop());

  test.each(["/revision/", "/tree/", "/config.json"])(
    "goes to no server that %s is sent to, nor back with one that was",
    async (place) => {
      const seen: (string | undefined)[] = [];
      elsewhere.instead.set(
        "/there",
        Array.from({ length: 20 }, () => (request, response) => {
          seen.push(request.headers.authorization);
          response.writeHead(302, { location: `${url}/back` }).end();
        }),
      );
      always(place, (response) => void response.writeHead(302, { location: `${other}/there` }).end());
      server.instead.set(
        "/back",
        Array.from({ length: 20 }, () => (request, response) => {
          seen.push(request.headers.authorization);
          response.writeHead(500).end();
        }),
      );
      expect(await failure("org/tiny")).toContain("status 500");
      expect(seen.length).toBeGreaterThan(1);
      expect(new Set(seen)).toEqual(new Set([undefined]));
    },
  );

  test("stays on the way within the hub (a repository that was renamed)", async () => {
    next(
      "/revision/",
      (response) => void response.writeHead(307, { location: "/api/models/org/tiny/revision/main?again" }).end(),
    );
    expect((await openModel("org/tiny")).nParams).toBe(51680);
  });

  test("that no header can hold is not shown", async () => {
    process.env.HF_TOKEN = "geheim\nnis";
    expect(await failure("org/tiny")).toBe(
      "The token in HF_TOKEN has characters that no token has (blanks, line ends, or letters with accents): copy it again from the hub's settings.",
    );
    expect(server.requests).toEqual([]);
  });

  test.each(["nonsense", "file:///etc", "https://me:password@127.0.0.1"])(
    "HF_ENDPOINT %j is a sentence",
    async (endpoint) => {
      process.env.HF_ENDPOINT = endpoint;
      expect(await failure("org/tiny")).toMatch(
        /^HF_ENDPOINT is no address of a hub: it must be like https:\/\/huggingface\.co/,
      );
    },
  );
});

describe("names that lead elsewhere", () => {
  /** All that lies beside the cache, and in it. */
  const outside = (): string[] => readdirSync(join(cache, "..")).filter((name) => /^(evil|ref)/.test(name));

  test.each([
    "../../../../evil.gguf",
    "..\\..\\..\\evil.gguf",
    "a/..\\../evil.gguf",
    "/tmp/evil.gguf",
    "\\evil.gguf",
    "C:\\evil.gguf",
    "C:evil.gguf",
    "evil\0.gguf",
    "evil\n.gguf",
    ".. /evil.gguf",
  ])("%j in a list refuses it, wanted or not", async (path) => {
    server.repos.set("org/tiny", { files: { [path]: gguf }, refs: { main: COMMIT } });
    always(
      "/tree/",
      (response) => void response.end(JSON.stringify([{ type: "file", path, size: gguf.length, oid: gitSha(gguf) }])),
    );
    expect(await failure("org/tiny")).toMatch(
      /^http:.* answers with a file called ".*", a name that leads out of its folder, which no hub does/,
    );
    always(
      "/tree/",
      (response) =>
        void response.end(
          JSON.stringify([
            ...Object.entries(MODEL).map(([name, bytes]) => ({
              type: "file",
              path: name,
              size: bytes.length,
              oid: gitSha(bytes),
            })),
            { type: "file", path, size: 1, oid: gitSha(gguf) },
          ]),
        ),
    );
    expect(await failure("org/tiny")).toContain("a name that leads out of its folder");
    expect(server.downloads()).toEqual([]);
    expect(outside()).toEqual([]);
  });

  test.each(["con.gguf", "NUL.gguf", "a?.gguf", "a\\b.gguf", "x.gguf:stream.gguf", `${"y".repeat(300)}.gguf`])(
    "%j is not written, but its neighbours open",
    async (path) => {
      server.repos.set("org/tiny", { files: { [path]: gguf }, refs: { main: COMMIT } });
      expect(await failure("org/tiny")).toMatch(
        /^"org\/tiny" has the file ".*", which is not written to a disk because it (has|is)/,
      );
      server.repos.set("org/tiny", { files: { ...MODEL, [path]: gguf }, refs: { main: COMMIT } });
      expect((await openModel("org/tiny")).nParams).toBe(51680);
    },
  );

  test.each([
    "org/tiny@x/../../../ref",
    "org/tiny@..",
    "org/..",
    "../org",
    "org/tiny/../../x.gguf",
    "org/ti\0ny",
    "con/tiny",
    "org/%2e%2e",
    "org\\tiny",
    "https://huggingface.co/org/tiny/resolve/..%2F..%2Fref/x.gguf",
    "https://huggingface.co/org/tiny/resolve/main/..%5C..%5Cx.gguf",
    "https://huggingface.co/%2e%2e%2forg/tiny",
    "https://huggingface.co/org/tiny/resolve/main/%00.gguf",
    "https://huggingface.co/org/tiny/blob/main/%E0%A4%A",
  ])("%j asks nothing", async (source) => {
    await failure(source);
    expect(server.requests).toEqual([]);
    expect(readdirSync(cache)).toEqual([]);
    expect(outside()).toEqual([]);
  });

  test.each([
    "x/../../../ref",
    "..\\..\\ref",
    "/ref",
    "C:ref",
    "a\0b",
    "a//b",
    "nul",
    "a.lock",
    ".hidden",
    "x".repeat(300),
    "",
  ])("the revision %j is none", async (revision) => {
    const error: unknown = await fetchFromHub({ id: "org/tiny" }, { revision }).catch((caught: unknown) => caught);
    expect(error).toBeInstanceOf(ModelFileError);
    expect((error as Error).message).toMatch(/ is no revision: it /);
    expect(server.requests).toEqual([]);
  });

  test("branches that git allows are", () => {
    expect(["main", "v1.0", "refs/pr/3", "feature/a+b", "release-1_2", "a@b"].map(unsafeRevision)).toEqual([
      undefined,
      undefined,
      undefined,
      undefined,
      undefined,
      undefined,
    ]);
    expect(["model.gguf", "b/é (1).gguf", "...x", "a..b", "console.gguf"].map(unsafePath)).toEqual([
      undefined,
      undefined,
      undefined,
      undefined,
      undefined,
    ]);
  });

  test("a ref of the cache that climbs is not followed", async () => {
    mkdirSync(join(storage(), "refs"), { recursive: true });
    writeFileSync(join(storage(), "refs/main"), "../../../x");
    process.env.HF_HUB_OFFLINE = "1";
    expect(await failure("org/tiny")).toContain("is not in the cache");
  });

  test("a branch x/y where x was one: the model opens", async () => {
    server.repos.set("org/tiny", { files: MODEL, refs: { x: COMMIT, "x/y": COMMIT } });
    await openModel("org/tiny@x");
    expect((await openModel("org/tiny@x/y")).nParams).toBe(51680);
    expect(remains()).toEqual([]);
  });
});

describe("a name as it is found in the world", () => {
  test.each([
    ["https://huggingface.co/org/name", { id: "org/name" }],
    ["https://huggingface.co/org/name/", { id: "org/name" }],
    [" https://huggingface.co/org/name\n", { id: "org/name" }],
    ["https://www.huggingface.co/org/name?library=transformers#files", { id: "org/name" }],
    ["huggingface.co/org/name", { id: "org/name" }],
    ["hf.co/org/name", { id: "org/name" }],
    ["https://hf.co/org/name/tree/main", { id: "org/name" }],
    ["https://huggingface.co/gpt2", { id: "gpt2" }],
    ["https://huggingface.co/gpt2/tree/v1", { id: "gpt2", revision: "v1" }],
    ["https://huggingface.co/org/name/tree/refs%2Fpr%2F1", { id: "org/name", revision: "refs/pr/1" }],
    ["https://huggingface.co/org/name/tree/refs/pr/1", { id: "org/name", revision: "refs/pr/1" }],
    ["https://huggingface.co/org/name/commit/" + COMMIT, { id: "org/name", revision: COMMIT }],
    ["https://huggingface.co/org/name/blob/main/file.gguf", { id: "org/name", file: "file.gguf" }],
    ["https://huggingface.co/org/name/resolve/main/file.gguf?download=true", { id: "org/name", file: "file.gguf" }],
    [
      "https://huggingface.co/org/name/resolve/v2/dir/my%20file.Q4_0.gguf",
      { id: "org/name", file: "dir/my file.Q4_0.gguf", revision: "v2" },
    ],
    ["https://huggingface.co/org/name?show_file_info=file.Q4_K_M.gguf", { id: "org/name", file: "file.Q4_K_M.gguf" }],
    ["https://huggingface.co/org/name/blob/main/config.json", { id: "org/name" }],
    ["https://huggingface.co/org/name/blob/main/model-00001-of-00002.safetensors", { id: "org/name" }],
    ["https://huggingface.co/api/models/org/name", { id: "org/name" }],
    ["http://mirror.test:8080/hub/org/name/tree/main", { id: "org/name" }],
    ["mirror.test:8080/hub/org/name", { id: "org/name" }],
    ["hf://org/name", { id: "org/name" }],
    ["org/name:Q4_K_M", { id: "org/name", quantisation: "Q4_K_M" }],
    ["org/name:q4_k_m@v1", { id: "org/name", quantisation: "q4_k_m", revision: "v1" }],
    ["hf.co/org/name:Q4_K_M", { id: "org/name", quantisation: "Q4_K_M" }],
    ["hf.co/org/name:latest", { id: "org/name" }],
    ["org/name:file.Q8_0.gguf", { id: "org/name", file: "file.Q8_0.gguf" }],
  ])("%j", (source, name) => {
    expect(parseHubName(source, "http://mirror.test:8080/hub")).toEqual(name);
  });

  test.each<[string, RegExp]>([
    ["https://huggingface.co/datasets/org/name", /is a data set, not a model/],
    ["https://huggingface.co/spaces/org/name", /is a space, not a model/],
    ["https://huggingface.co", /names no model/],
    [
      "https://example.com/org/name",
      /is not at http:\/\/127\.0\.0\.1:\d+: give the model's name \(org\/name\), or set HF_ENDPOINT to https:\/\/example\.com if that is a hub\.$/,
    ],
    [
      "https://huggingface.co/org/name/blob/main/pytorch_model.bin",
      /names one file of "org\/name"; a GGUF file can be opened by itself, other models as a whole: "org\/name"\.$/,
    ],
    ["https://huggingface.co/org/name/tree/main/onnx", /names a folder inside of "org\/name"/],
  ])("%j is a sentence", async (source, message) => {
    expect(await failure(source)).toMatch(message);
    expect(server.requests).toEqual([]);
  });

  test("opens: the address of its page, of a file, a quantisation", async () => {
    server.repos.set("org/tiny", {
      files: {
        "a.Q4_0.gguf": gguf,
        "mmproj-a-Q8_0.gguf": Buffer.from("x"),
        "Q8_0/a-Q8_0.gguf": gguf,
        "a-BF16-00001-of-00002.gguf": gguf,
        "a-BF16-00002-of-00002.gguf": gguf,
        "a-F16-00001-of-00002.gguf": gguf,
      },
      refs: { main: COMMIT },
    });
    for (const source of [
      "https://huggingface.co/org/tiny/resolve/main/a.Q4_0.gguf?download=true",
      `${url}/org/tiny/blob/main/a.Q4_0.gguf`,
      "org/tiny:q4_0",
      "hf.co/org/tiny:Q8_0",
    ]) {
      const files = await openModel(source);
      expect([files.name, files.architecture.family]).toEqual(["org/tiny", "llama"]);
    }
    expect(server.downloads()).toEqual(["a.Q4_0.gguf"]);
    expect(await failure("org/tiny:Q5_K_M")).toBe(
      '"org/tiny" has no GGUF file with the quantisation "Q5_K_M"; it has BF16, Q4_0 and Q8_0.',
    );
    expect(await failure("org/tiny:f16")).toBe(
      'The quantisation "f16" of "org/tiny" is split into files that are not all there: choose BF16, Q4_0 or Q8_0.',
    );
    process.env.HF_HUB_OFFLINE = "1";
    expect((await openModel("org/tiny:Q8_0")).architecture.family).toBe("llama");
    expect(await failure("org/tiny:Q5_0")).toContain('"org/tiny:Q5_0" is not in the cache');
  });

  test("a split model comes whole, by any name that it has", async () => {
    const name = (i: number): string => `BF16/a-BF16-0000${i}-of-00003.gguf`;
    const part = (i: number): Buffer => readFileSync(join(__dirname, `data/gguf-split/qwen2-0000${i}-of-00003.gguf`));
    server.repos.set("org/split", {
      files: { [name(1)]: part(1), [name(2)]: part(2), [name(3)]: part(3) },
      refs: { main: COMMIT },
    });
    server.repos.set("org/lost", { files: { [name(1)]: part(1), [name(3)]: part(3) }, refs: { main: COMMIT } });
    for (const source of ["org/split:bf16", `org/split/${name(2)}`]) {
      const files = await openModel(source);
      expect([files.name, files.architecture.family]).toEqual(["org/split", "qwen2"]);
    }
    expect(server.downloads()).toEqual([1, 2, 3].map(name));
    process.env.HF_HUB_OFFLINE = "1";
    expect((await openModel(`org/split/${name(3)}`)).architecture.family).toBe("qwen2");
    delete process.env.HF_HUB_OFFLINE;
    expect(await failure(`org/lost/${name(1)}`)).toMatch(
      /is split into 3 files, of which .*00002-of-00003\.gguf is missing/,
    );
  });

  test.each([
    ["Llama-3.2-1B-Instruct-Q4_K_M.gguf", "Q4_K_M"],
    ["llama-2-7b.Q5_0.gguf", "Q5_0"],
    ["x/model-UD-Q4_K_XL-00001-of-00003.gguf", "UD-Q4_K_XL"],
    ["phi-IQ2_XXS.gguf", "IQ2_XXS"],
    ["gemma-3-270m-it-F16.gguf", "F16"],
    ["model_fp16.gguf", "F16"],
    ["gpt-oss-20b-MXFP4.gguf", "MXFP4"],
    ["qwen2.5-q8_0.gguf", "Q8_0"],
    ["Q-model.gguf", undefined],
    ["ggml-model-bf16.gguf", "BF16"],
  ])("the quantisation of %j", (path, quantisation) => {
    expect(quantisationOf(path)).toBe(quantisation);
  });

  test("is chosen among many", () => {
    const paths = [
      "m-Q4_K_M.gguf",
      "m-Q4_K_S.gguf",
      "m-UD-Q4_K_XL.gguf",
      "m-IQ4_XS.gguf",
      "m-f16.gguf",
      "imatrix_m-Q4_K_M.gguf",
      "README.md",
      "sub/m-Q4_K_M.gguf",
    ];
    expect(chooseQuantisation("org/m", "q4_k_m", paths)).toBe("m-Q4_K_M.gguf");
    expect(chooseQuantisation("org/m", "Q4_K_XL", paths)).toBe("m-UD-Q4_K_XL.gguf");
    expect(chooseQuantisation("org/m", "FP16", paths)).toBe("m-f16.gguf");
    expect(() => chooseQuantisation("org/m", "Q4_K_M", ["a-Q4_K_M.gguf", "b-Q4_K_M.gguf"])).toThrow(
      '"org/m" has 2 GGUF files with the quantisation "Q4_K_M": name one of a-Q4_K_M.gguf or b-Q4_K_M.gguf, as "org/m/a-Q4_K_M.gguf".',
    );
    expect(() => chooseQuantisation("org/m", "Q4_0", ["config.json"])).toThrow(
      '"org/m" has no GGUF files, so that the quantisation "Q4_0" cannot be chosen; leave it out to open what it has.',
    );
  });
});

describe("the disk", () => {
  async function deadPid(): Promise<number> {
    const child = spawn(process.execPath, ["-e", ""]);
    await new Promise((done) => child.on("close", done));
    return child.pid as number;
  }

  test("remains of ended processes are gone after the next use, those of living ones not", async () => {
    const folder = join(storage(), "blobs");
    const other = join(cache, "models--org--other", "blobs");
    mkdirSync(folder, { recursive: true });
    mkdirSync(other, { recursive: true });
    const pid = await deadPid();
    writeFileSync(join(folder, `${"e".repeat(64)}.${pid}-1.incomplete`), "old");
    // The same number as ours, from before the machine or container was started anew.
    writeFileSync(join(folder, `${"d".repeat(64)}.${process.pid}-1.incomplete`), "old");
    writeFileSync(join(folder, `${sha256(weights)}.${pid}-7.incomplete`), weights.subarray(0, 100_000));
    writeFileSync(join(folder, `${"b".repeat(64)}.${process.ppid}-1.incomplete`), "at work");
    writeFileSync(join(folder, `${"c".repeat(64)}.incomplete`), "another tool's");
    writeFileSync(join(other, `${"e".repeat(64)}.${pid}-1.incomplete`), "old");
    utimesSync(join(other, `${"e".repeat(64)}.${pid}-1.incomplete`), new Date(0), new Date(0));
    writeFileSync(join(other, `${"f".repeat(64)}.${pid}-1.incomplete`), "young");
    await openModel("org/tiny");
    expect(server.downloads()).toContain("model.safetensors bytes=100000-");
    expect(remains()).toEqual([`${"b".repeat(64)}.${process.ppid}-1.incomplete`, `${"c".repeat(64)}.incomplete`]);
    expect(readdirSync(other)).toEqual([`${"f".repeat(64)}.${pid}-1.incomplete`]);
  });

  /** As if the file system refused to make new files in the cache. */
  function refusing(code: string): void {
    const fault = (): Error => Object.assign(new Error(`${code}: refused`), { code, syscall: "open", errno: -1 });
    jest.spyOn(promises, "writeFile").mockImplementation(() => Promise.reject(fault()));
  }
  const free = (bytes: number): void =>
    void jest
      .spyOn(promises, "statfs")
      .mockImplementation(() =>
        Promise.resolve({ bavail: bytes, bsize: 1 } as Awaited<ReturnType<typeof promises.statfs>>),
      );

  test.each([
    ["EROFS", "it is on a disk that is read-only"],
    ["EACCES", "permission denied"],
    ["EPERM", "permission denied"],
  ])("a cache that cannot be written (%s) is not called full", async (code, why) => {
    refusing(code);
    free(0);
    expect(await failure("org/tiny")).toBe(
      `The cache folder ${storage()} cannot be written (${why}): set HF_HUB_CACHE to one that can.`,
    );
  });

  test("a cache that is read-only opens what it has, also where the hub has something newer", async () => {
    await openModel("org/tiny");
    refusing("EROFS");
    free(0);
    expect((await openModel("org/tiny")).nParams).toBe(51680);
    server.repos.set("org/tiny", {
      files: { ...MODEL, "config.json": Buffer.concat([MODEL["config.json"], Buffer.from("\n")]) },
      refs: { main: NEWER },
    });
    expect((await openModel("org/tiny")).nParams).toBe(51680);
  });

  test("a file where the cache should be is named", async () => {
    writeFileSync(join(cache, "file"), "");
    expect(await failure("org/tiny", { cacheDir: join(cache, "file/hub") })).toMatch(
      /^The cache folder .*models--org--tiny cannot be used: a file lies where a folder is needed \(.*\); remove it, or set HF_HUB_CACHE to another folder\.$/,
    );
    expect(await failure("org/tiny", { cacheDir: "/proc/none" })).toMatch(
      /^The cache folder \/proc\/none\/models--org--tiny cannot be used \(ENOENT at mkdir\): set HF_HUB_CACHE/,
    );
  });

  test("a full disk says so, before and in the middle, and leaves nothing empty behind", async () => {
    free(10);
    expect(await failure("org/tiny")).toMatch(
      /^The disk of .* has 0 MB free, but "org\/tiny" needs 1 MB: make room, or set HF_HUB_CACHE to a folder on another disk\.$/,
    );
    jest.restoreAllMocks();
    const open = promises.open.bind(promises);
    jest.spyOn(promises, "open").mockImplementation(async (...args) => {
      const file = await open(...args);
      jest
        .spyOn(file, "appendFile")
        .mockImplementation(() =>
          Promise.reject(
            Object.assign(new Error("ENOSPC: no space left on device, write"), { code: "ENOSPC", syscall: "write" }),
          ),
        );
      return file;
    });
    expect(await failure("org/tiny")).toMatch(/^The disk of .*blobs is full: "config\.json" has 1 MB; make room/);
    expect(remains()).toEqual([]);
  });
});

/**
 * A hostile hub: random statuses, bodies, headers, delays, cuts and lists. Whatever it does, the model opens with the
 * bytes that it has, or there is one sentence; the token goes to the hub alone, and nothing is written outside of the
 * cache.
 */
import { createHash } from "node:crypto";
import {
  existsSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  readdirSync,
  realpathSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join, sep } from "node:path";
import { ModelFileError } from "../../src/model/errors";
import { hubLimits } from "../../src/model/hub-requests";
import { openModel } from "../../src/model/open";
import { modelFolder } from "../support/fixtures";
import { NASTY, Random, damaged, damagedJson, fuzz, isSentence } from "./support";

const COMMIT = "a".repeat(40);
const TOKEN = "hf_secret-of-the-fuzzer";
const gguf = readFileSync(join(__dirname, "../model/data/gguf/llama.gguf"));
const fixture = (name: string): Buffer => readFileSync(join(modelFolder("llama-tiny"), name));
const MODEL: Readonly<Record<string, Buffer>> = Object.fromEntries(
  ["config.json", "tokenizer.json", "tokenizer_config.json", "model.safetensors"].map((name) => [name, fixture(name)]),
);
const GGUFS: Readonly<Record<string, Buffer>> = { "a.Q4_0.gguf": gguf, "b/a.Q8_0.gguf": gguf };
const sha256 = (bytes: Buffer): string => createHash("sha256").update(bytes).digest("hex");
const gitSha = (bytes: Buffer): string =>
  createHash("sha1").update(`blob ${bytes.length}\0`).update(bytes).digest("hex");
const SOURCES = [
  "org/tiny",
  "org/tiny@v1",
  "org/tiny:Q8_0",
  "org/tiny/a.Q4_0.gguf",
  "org/tiny/b/a.Q8_0.gguf",
  "huggingface.co/org/tiny",
  "https://hf.co/org/tiny/blob/main/a.Q4_0.gguf",
  "org/tiny@x/../../ref",
  "https://huggingface.co/org/%2e%2e%2f%2e%2e/resolve/main/..%5C..%5Cx.gguf",
  "org/tiny@refs/pr/1",
];

let hub: Server;
let elsewhere: Server;
let url: string;
let other: string;
let random: Random;
let trouble: number;
let files: Readonly<Record<string, Buffer>>;
let tokens: string[];
let requests: number;
const before = { ...process.env };
const limits = { ...hubLimits };

const listen = async (server: Server): Promise<string> => {
  await new Promise<void>((done) => server.listen(0, "127.0.0.1", done));
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
};

beforeAll(async () => {
  Object.assign(hubLimits, {
    progressBytes: 2000,
    listPages: 8,
    listEntries: 2000,
    answerBytes: 2 ** 20,
    redirects: 5,
    patienceMs: 30,
    pauseMs: 1,
    longestPauseMs: 4,
  });
  for (const name of ["HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE", "HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE"])
    delete process.env[name];
  hub = createServer((request, response) => answer(request, response));
  elsewhere = createServer((request, response) => {
    if (JSON.stringify(request.headers).includes(TOKEN) || (request.url ?? "").includes(TOKEN))
      tokens.push(request.url ?? "");
    answer(request, response);
  });
  url = await listen(hub);
  other = await listen(elsewhere);
  process.env.HF_ENDPOINT = url;
  process.env.HF_TOKEN = TOKEN;
});
afterAll(() => {
  hub.closeAllConnections();
  elsewhere.closeAllConnections();
  hub.close();
  elsewhere.close();
  Object.assign(hubLimits, limits);
  for (const name of [
    "HF_ENDPOINT",
    "HF_TOKEN",
    "HF_HUB_OFFLINE",
    "TRANSFORMERS_OFFLINE",
    "HF_HUB_CACHE",
    "HUGGINGFACE_HUB_CACHE",
  ]) {
    if (before[name] === undefined) delete process.env[name];
    else process.env[name] = before[name];
  }
});

const NAMES = [
  "../x",
  "..\\..\\x.gguf",
  "/etc/x.gguf",
  "C:\\x.gguf",
  "C:x.gguf",
  "a/../../x.gguf",
  "con.gguf",
  "nul",
  "x\0.gguf",
  "x\n.gguf",
  "%2e%2e/x.gguf",
  "....//x.gguf",
  "b//x.gguf",
  "config.json/x.gguf",
  ".. /x.gguf",
  "x.gguf:stream",
  "é.gguf",
  `${"y".repeat(300)}.gguf`,
  "model.safetensors.index.json",
  "__proto__",
  "model-00001-of-00002.safetensors",
];
const HEADERS = [
  "location",
  "link",
  "retry-after",
  "content-type",
  "content-encoding",
  "etag",
  "x-linked-etag",
  "x-linked-size",
  "x-error-code",
  "content-range",
];

function headerValue(name: string): string {
  switch (name) {
    case "location":
      return random.pick([
        `${url}/loop`,
        `${other}/cdn/${random.int(0, 9)}`,
        "file:///etc/passwd",
        "//[",
        "",
        "/relative",
        "javascript:1",
        `http://user:pw@127.0.0.1:1/`,
        "ftp://127.0.0.1/x",
        "data:text/html,hi",
        "?x",
      ]);
    case "link":
      return `<${random.pick([`${url}/api/models/org/tiny/tree/${COMMIT}?cursor=${random.int(0, 3)}`, `${url}/api/models/org/tiny/tree/${COMMIT}?cursor=${random.int(0, 1e9)}`, `${other}/api/models/org/tiny/tree/${COMMIT}`, "http://[", "https://"])}>; rel="next"`;
    case "retry-after":
      return random.pick([
        "0",
        "1",
        "-1",
        "1e9",
        "99999999999999999999",
        "soon",
        new Date(Date.now() + random.int(-9, 9) * 1000).toUTCString(),
        "Fri, 31 Dec 9999 23:59:59 GMT",
        "",
      ]);
    case "content-type":
      return random.pick(["text/html", "text/html; charset=utf-8", "application/json", "image/png", ""]);
    case "content-encoding":
      return random.pick(["gzip", "br", "identity", "x"]);
    case "x-linked-size":
      return random.pick(["-1", "1e99", "NaN", "0", "12"]);
    case "x-error-code":
      return random.pick(["GatedRepo", "RepoNotFound", "RevisionNotFound", "EntryNotFound", "é"].slice(0, 4));
    case "content-range":
      return random.pick(["bytes 0-10/11", "bytes 5-10/*", "bytes 99999999-9/1", "bytes */5", "x"]);
    default:
      return random.pick(['"x"', `"${"f".repeat(64)}"`, `W/"${"0".repeat(40)}"`, '"../../x"', ""]);
  }
}

function list(path: URL): Buffer {
  const recursive = path.searchParams.get("recursive") === "true";
  let entries: unknown = Object.entries(files)
    .filter(([name]) => recursive || !name.includes("/"))
    .map(([name, bytes]) => ({
      type: "file",
      path: name,
      size: bytes.length,
      oid: gitSha(bytes),
      ...(/gguf|safetensors$/.test(name) && { lfs: { oid: sha256(bytes), size: bytes.length, pointerSize: 130 } }),
    }));
  if (random.chance(trouble)) {
    (entries as unknown[]).push({
      type: "file",
      path: random.pick(random.chance(0.7) ? NAMES : NASTY),
      size: random.pick([0, 5, -1, 1e15, 2 ** 60, 0.5]),
      oid: random.pick([gitSha(gguf), "../../../x", "f".repeat(40), "0".repeat(64)]),
    });
  }
  if (random.chance(trouble)) entries = damagedJson(entries, random, 0.05);
  if (random.chance(trouble / 4))
    entries = Array.from({ length: random.int(100, 3000) }, (_, i) => ({
      type: "file",
      path: `${i}.gguf`,
      size: 1,
      oid: "0".repeat(40),
    }));
  return Buffer.from(JSON.stringify(entries) ?? "");
}

function answer(request: IncomingMessage, response: ServerResponse): void {
  requests++;
  response.on("error", () => undefined);
  const path = URL.canParse(request.url ?? "", "http://hub")
    ? new URL(request.url ?? "", "http://hub")
    : new URL("http://hub/");
  const name = decodeURIComponent(/\/resolve\/[^/]+\/(.+)$/.exec(path.pathname)?.[1] ?? "");
  const headers: Record<string, string> = {};
  let status = 200;
  let body: Buffer;
  if (path.pathname.includes("/tree/")) body = list(path);
  else if (path.pathname.includes("/revision/"))
    body = Buffer.from(
      JSON.stringify(
        random.chance(trouble)
          ? damagedJson(
              { _id: "1", id: "org/tiny", sha: random.pick([COMMIT, "../../../x", "nul", "..", 5, "main"]) },
              random,
              0.1,
            )
          : { _id: "1", id: "org/tiny", sha: COMMIT },
      ) ?? "",
    );
  else {
    const whole = files[name] ?? Buffer.from("nothing");
    const start = Number(/^bytes=(\d+)-$/.exec(request.headers.range ?? "")?.[1] ?? 0);
    if (files[name] === undefined) status = 404;
    else if (start > 0 && !random.chance(trouble)) {
      status = 206;
      if (random.chance(0.5)) headers["content-range"] = `bytes ${start}-${whole.length - 1}/${whole.length}`;
    }
    body = status === 206 ? whole.subarray(start) : whole;
    headers.etag = `"${/gguf|safetensors$/.test(name) ? sha256(whole) : gitSha(whole)}"`;
  }
  if (random.chance(trouble)) {
    status = random.pick([
      200, 200, 200, 201, 204, 206, 300, 301, 302, 304, 307, 400, 401, 403, 404, 407, 408, 410, 416, 418, 429, 429, 451,
      500, 502, 503, 503, 511,
    ]);
    if (status >= 300 && status < 400) headers.location = headerValue("location");
    if (status === 429 || status === 503) headers["retry-after"] = headerValue("retry-after");
  }
  if (random.chance(trouble))
    body = random.pick<() => Buffer>([
      () => damaged(body, random),
      () => Buffer.from("<!doctype html><title>Log in</title>"),
      () => Buffer.alloc(0),
      () => body.subarray(0, random.int(0, body.length + 1)),
      () => Buffer.alloc(random.int(1, 2 ** 21), 0x5b),
      () => Buffer.from("null"),
      () => Buffer.concat([body, body]),
      () => Buffer.from("\ufeff{}"),
    ])();
  if (random.chance(trouble))
    for (let n = random.int(1, 4); n > 0; n--) {
      const header = random.pick(HEADERS);
      headers[header] = headerValue(header);
    }
  const faulty = random.chance(trouble);
  const kind = random.int(0, 7);
  if (faulty && kind === 0) return void request.socket.destroy();
  if (faulty && kind === 1) return; // Never an answer.
  if (faulty && kind === 2)
    return void request.socket.end(
      random.pick([
        "garbage\r\n\r\n",
        "HTTP/1.1 999 X\r\n\r\n",
        "HTTP/1.1 200 OK\r\ncontent-length: x\r\n\r\n",
        `HTTP/1.1 200 OK\r\nx: ${"y".repeat(20000)}\r\n\r\n`,
        "",
      ]),
    );
  if (!(faulty && kind === 3)) headers["content-length"] = String(body.length);
  response.writeHead(status, headers);
  if (request.method === "HEAD" || status === 204 || status === 304) return void response.end();
  if (faulty && kind === 4) {
    response.write(body.subarray(0, random.int(0, body.length + 1)));
    setTimeout(() => request.socket.destroy(), random.int(0, 5));
  } else if (faulty && kind === 5) {
    // Drips.
    let at = 0;
    // It does end: an answer that is whole, but not over, would hold the next request on its connection.
    const timer = setInterval(
      () => void (at >= body.length ? response.end() : response.write(body.subarray(at, ++at))),
      10,
    );
    response.on("close", () => clearInterval(timer));
  } else response.end(body);
}

/** Each file in a folder, without following links. */
function walk(folder: string): string[] {
  return readdirSync(folder, { withFileTypes: true }).flatMap((entry) =>
    entry.isDirectory() ? walk(join(folder, entry.name)) : [join(folder, entry.name)],
  );
}

fuzz({
  target: "hub",
  runs: 40,
  slowMs: 20_000,
  generate: (from) =>
    Buffer.from(
      JSON.stringify({
        seed: from.int(0, 2 ** 32),
        trouble: from.pick([0, 0.02, 0.05, 0.1, 0.3]),
        source: from.pick(SOURCES),
        gguf: from.chance(0.4),
        cached: from.chance(0.3),
      }),
    ),
  check: async (input) => {
    const plan = JSON.parse(input.toString()) as {
      seed: number;
      trouble: number;
      source: string;
      gguf: boolean;
      cached: boolean;
    };
    random = new Random(plan.seed);
    files = plan.gguf || /gguf|:Q/.test(plan.source) ? GGUFS : MODEL;
    tokens = [];
    requests = 0;
    const ground = mkdtempSync(join(tmpdir(), "lmt-fuzz-hub-"));
    // Deep, so that a name that climbs would land where it is seen.
    const cache = join(ground, "1/2/3/4/5/6/hub");
    mkdirSync(cache, { recursive: true });
    writeFileSync(join(ground, "canary"), "here");
    // A busy machine is no hostile hub.
    Object.assign(hubLimits, { silenceMs: 10_000, answerMs: 10_000, listMs: 10_000 });
    const open = (): Promise<Awaited<ReturnType<typeof openModel>>> => openModel(plan.source, { cacheDir: cache });
    try {
      if (plan.cached) {
        trouble = 0;
        await open().then(
          (opened) => opened.weights.close(),
          (error: unknown) => expect(error).toBeInstanceOf(ModelFileError),
        );
      }
      trouble = plan.trouble;
      if (trouble > 0) Object.assign(hubLimits, { silenceMs: 60, answerMs: 400, listMs: 500 });
      const outcome = await open().then(
        (opened) => opened,
        (error: unknown) => error,
      );
      for (const path of walk(ground)) {
        if (path === join(ground, "canary")) continue;
        expect(path.startsWith(cache + sep)).toBe(true);
        expect(
          existsSync(path)
            ? realpathSync(path).startsWith(realpathSync(cache) + sep)
            : lstatSync(path).isSymbolicLink(),
        ).toBe(true);
      }
      expect(tokens).toEqual([]);
      expect(requests).toBeLessThan(300);
      if (outcome instanceof Error || outcome instanceof ModelFileError) {
        expect(outcome.message).not.toContain(TOKEN);
        if (!(outcome instanceof ModelFileError) || !isSentence(outcome) || outcome.message.length > 4000)
          throw outcome;
        // A hub that does all right is no reason to refuse.
        if (plan.trouble === 0 && !plan.source.includes("..")) throw outcome;
        return "refused";
      }
      const { weights, nParams } = outcome as Awaited<ReturnType<typeof openModel>>;
      const blobs = [...new Set([...weights.entries.values()].map((entry) => realpathSync(entry.file)))];
      expect(blobs.map((path) => sha256(readFileSync(path)))).toEqual([
        sha256(files === GGUFS ? gguf : MODEL["model.safetensors"]),
      ]);
      expect(nParams).toBeGreaterThan(0);
      weights.close();
      return "accepted";
    } finally {
      rmSync(ground, { recursive: true, force: true });
    }
  },
});

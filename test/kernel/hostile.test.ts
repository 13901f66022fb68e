/** What reaches the kernel from outside without its key, and what cells do to the process that they share with it. */
import { randomBytes } from "node:crypto";
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Dealer } from "zeromq";
import { KernelClient } from "../support/kernel-client";
import { WidgetFront } from "../support/widget-front";
import { eventually } from "../support/eventually";

jest.setTimeout(240_000);

let kernel: KernelClient;
beforeAll(async () => {
  kernel = await KernelClient.start();
});
afterAll(() => KernelClient.closeAll());

const residentMb = (): number =>
  Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${kernel.process.pid}/status`, "utf8"))?.[1] ?? 0) / 1024;

/** Cells, comms, control and heartbeat all answer. */
async function answers(): Promise<void> {
  expect((await kernel.execute("1 + 1")).result).toEqual({ "text/plain": "2" });
  await kernel.request("kernel_info_request", {}, "control");
  await kernel.heartbeat.send("beat");
  expect((await kernel.heartbeat.receive()).map(String)).toEqual(["beat"]);
}

/** Writes bytes to a port and hangs up. */
function throwAt(port: number, bytes: Buffer): Promise<void> {
  return new Promise((done) => {
    const socket = connect(port, "127.0.0.1", () => socket.write(bytes, () => setTimeout(() => socket.destroy(), 2)));
    socket.once("close", () => done());
    socket.on("error", () => undefined);
    socket.resume();
  });
}

/** What a ZeroMQ peer says first: signature, version 3.0, mechanism NULL, no server. */
const GREETING = Buffer.concat([
  Buffer.from([0xff, 0, 0, 0, 0, 0, 0, 0, 1, 0x7f, 3, 0]),
  Buffer.from("NULL".padEnd(20, "\0")),
  Buffer.alloc(32),
]);
const READY = Buffer.concat([Buffer.from([4, 26]), Buffer.from("\x05READY\x0bSocket-Type\0\0\0\x03REQ", "latin1")]);

describe("garbage", () => {
  test("300 connections with random bytes to each port", async () => {
    const before = residentMb();
    for (const port of Object.values(kernel.ports)) {
      for (let n = 0; n < 300; n += 20) {
        await Promise.all(
          Array.from({ length: 20 }, (_, i) =>
            throwAt(
              port,
              (n + i) % 3 === 0
                ? Buffer.concat([GREETING, READY, randomBytes((n + i) % 500)])
                : randomBytes(1 + (((n + i) * 7) % 700)),
            ),
          ),
        );
      }
    }
    await answers();
    expect(residentMb() - before).toBeLessThan(200);
  });

  test("339 bytes to the heartbeat's port: a greeting and frames that a peer of that kind does not send", async () => {
    const frames = Buffer.concat(
      Array.from({ length: 20 }, (_, i) => Buffer.concat([Buffer.from([i % 2, 12]), randomBytes(12)])),
    );
    for (let i = 0; i < 20; i++)
      await throwAt(kernel.ports.heartbeat, Buffer.concat([GREETING, READY, frames]).subarray(0, 339));
    await answers();
  });

  test("a frame that says it has a terabyte", async () => {
    const size = Buffer.alloc(9);
    size[0] = 2;
    size.writeBigUInt64BE(1n << 40n, 1);
    for (const port of Object.values(kernel.ports))
      await throwAt(port, Buffer.concat([GREETING, READY, size, Buffer.alloc(1000)]));
    await answers();
  });

  test("multiparts with wrong frames, signatures, kinds and depths, on each channel", async () => {
    const good = kernel.frames("kernel_info_request", {}).frames;
    const signed = (...parts: readonly string[]): Buffer[] => {
      const { frames } = kernel.frames("kernel_info_request", {});
      const made = [...frames];
      parts.forEach((part, i) => (made[2 + i] = Buffer.from(part)));
      return kernel.signed(made);
    };
    const deep = `{"a":${"[".repeat(100_000)}${"]".repeat(100_000)}}`;
    const header = (change: object): string =>
      JSON.stringify({ ...(JSON.parse(String(good[2])) as object), msg_id: randomBytes(8).toString("hex"), ...change });
    const bad: Buffer[][] = [
      [Buffer.alloc(0)],
      [Buffer.from("<IDS|MSG>")],
      good.slice(0, 3),
      good.map((frame, i) => (i === 1 ? Buffer.from("0".repeat(64)) : frame)),
      good.map((frame, i) => (i === 1 ? Buffer.from("short") : frame)),
      signed("{"),
      signed("[]"),
      signed(header({}), "null"),
      signed(header({ session: 7 })),
      signed(header({ msg_type: 7 })),
      signed(header({ date: { a: 1 } })),
      signed(header({ deep: JSON.parse(`${"[".repeat(400)}${"]".repeat(400)}`) as unknown })),
      signed(header({}).replace(/}$/, `,"deep":${deep}}`)),
      signed(header({}), "{}", "{}", deep),
      signed(header({ msg_type: "execute_request" }), "{}", "{}", `{"code": ["1"]}`),
      signed(header({ msg_type: "comm_msg" }), "{}", "{}", `{"comm_id": {"a": 1}, "data": 7}`),
      signed(header({ msg_type: "input_reply" }), "{}", "{}", `{"value": 7}`),
      signed(header({ msg_type: "complete_request" }), "{}", "{}", `{"code": 7, "cursor_pos": "x"}`),
    ];
    for (const frames of bad)
      for (const channel of ["shell", "control", "stdin"] as const) kernel.sendRaw(channel, frames);
    await answers();
  });
});

test("a message that comes again is not run again", async () => {
  await kernel.execute("let counted = 0;");
  const { frames, id } = kernel.frames("execute_request", {
    code: "counted++",
    silent: false,
    store_history: true,
    user_expressions: {},
    allow_stdin: false,
  });
  kernel.sendRaw("shell", frames);
  await kernel.finished(id);
  for (let i = 0; i < 5; i++) kernel.sendRaw("shell", frames);
  // From another connection too, as somebody would who only listened.
  const other = new Dealer({ linger: 0 });
  other.connect(`tcp://127.0.0.1:${kernel.ports.shell}`);
  await other.send(frames);
  await new Promise((done) => setTimeout(done, 300));
  expect((await kernel.execute("counted")).result).toEqual({ "text/plain": "1" });
  other.close();
  // An interrupt that comes again stops nothing.
  const interrupt = kernel.frames("interrupt_request", {});
  kernel.sendRaw("control", interrupt.frames);
  await kernel.reply(interrupt.id);
  const loop = kernel.submit("let turns = 0; const end = Date.now() + 1500; while (Date.now() < end) turns++; 'done'");
  await new Promise((done) => setTimeout(done, 300));
  kernel.sendRaw("control", interrupt.frames);
  expect((await kernel.finished(loop)).result).toEqual({ "text/plain": "'done'" });
});

describe("cells that change the process", () => {
  test.each([
    ["process.removeAllListeners();"],
    ["for (const name of process.eventNames()) process.removeAllListeners(name);"],
    [
      "for (const name of ['uncaughtException', 'unhandledRejection', 'SIGINT']) for (const one of process.listeners(name as 'exit')) process.off(name, one);",
    ],
  ])("%s does not take the kernel's listeners", async (code) => {
    await kernel.execute(code);
    await kernel.execute(
      "setTimeout(() => { throw new Error('in a timer'); }, 1); void Promise.reject(new Error('nobody waits'));",
    );
    await new Promise((done) => setTimeout(done, 200));
    const loop = kernel.submit("for (;;) {}");
    await new Promise((done) => setTimeout(done, 300));
    await kernel.request("interrupt_request", {}, "control");
    expect((await kernel.finished(loop)).error?.ename).toMatch(/Interrupt/);
    await answers();
  });

  test.each([
    [
      "readline",
      'import * as readline from "node:readline";\nawait new Promise((done) => readline.createInterface({ input: process.stdin, output: process.stdout }).question("Name? ", done));',
    ],
    [
      "readline with promises",
      'import * as lines from "node:readline/promises";\nawait lines.createInterface({ input: process.stdin, output: process.stdout }).question("Name? ");',
    ],
    ["a loop over the stream", "for await (const chunk of process.stdin) console.log(chunk);"],
    ["a listener", 'await new Promise((done) => process.stdin.once("data", done));'],
    ["read", "process.stdin.read();"],
  ])("reading standard input by %s says that it needs input()", async (_, code) => {
    const { error } = await kernel.execute(code);
    expect(error?.evalue).toBe(
      'A notebook has no standard input to read from: ask with const answer = await input("Your name?").',
    );
  });

  test("the descriptor of standard input is empty", async () => {
    expect((await kernel.execute('import { readFileSync } from "node:fs";\nreadFileSync(0, "utf8")')).result).toEqual({
      "text/plain": "''",
    });
  });

  test("a handler that waits in a loop ends at an interrupt", async () => {
    const front = new WidgetFront(kernel);
    await kernel.execute(
      'import * as w from "lm-transparency/ipywidgets";\nlet handled = 0;\nconst button = new w.Button();\nbutton.on("click", async () => { for (;;) { handled++; await new Promise((done) => setTimeout(done, 10)); } });\nbutton',
    );
    kernel.send("shell", "comm_msg", {
      comm_id: front.model("ButtonModel").id,
      data: { method: "custom", content: { event: "click" } },
    });
    await eventually(
      async () => Number((await kernel.execute("handled")).result?.["text/plain"]),
      (turns) => expect(turns).toBeGreaterThan(0),
    );
    await kernel.request("interrupt_request", {}, "control");
    await new Promise((done) => setTimeout(done, 100));
    const first = (await kernel.execute("handled")).result;
    await new Promise((done) => setTimeout(done, 200));
    expect((await kernel.execute("handled")).result).toEqual(first);
  });
});

describe("cells that replace what the kernel uses too", () => {
  const broken = "() => { throw new Error('broken'); }";
  const globals = [
    "JSON",
    "Date",
    "Buffer",
    "Promise",
    "setTimeout",
    "clearTimeout",
    "setImmediate",
    "performance",
    "Object",
    "Array",
    "Map",
    "Set",
    "Number",
    "AbortController",
    "queueMicrotask",
  ];
  const members = [
    ..."JSON.stringify JSON.parse Date.now Buffer.from Buffer.alloc Buffer.concat Object.entries Object.keys Object.fromEntries Array.isArray Array.from Promise.race Promise.all process.nextTick performance.now crypto.randomUUID".split(
      " ",
    ),
    ..."map filter push splice slice shift forEach join some every find findIndex findLast includes indexOf concat at keys entries values flatMap"
      .split(" ")
      .map((name) => `Array.prototype.${name}`),
    ..."replace replaceAll split slice startsWith endsWith trim padStart match matchAll"
      .split(" ")
      .map((name) => `String.prototype.${name}`),
    ..."get set has delete values keys entries".split(" ").map((name) => `Map.prototype.${name}`),
    ..."add has delete values".split(" ").map((name) => `Set.prototype.${name}`),
    ..."then catch finally".split(" ").map((name) => `Promise.prototype.${name}`),
    "Function.prototype.call",
    "Function.prototype.apply",
    "Function.prototype.bind",
    "RegExp.prototype.exec",
    "RegExp.prototype.test",
    "Date.prototype.toISOString",
    "Uint8Array.prototype.subarray",
    "Buffer.prototype.toString",
    "Buffer.prototype.equals",
    "Object.prototype.hasOwnProperty",
    "Object.prototype.toString",
  ];

  let own: KernelClient | undefined;
  // One at a time: what comes after has to run as ever.
  test.each([
    ...globals.map((name) => [`a global: ${name}`, `(globalThis as any).${name} = ${broken};`]),
    ...members.map((name) => [name, `(${name.replace(/\.\w+$/, "")} as any).${name.split(".").at(-1)!} = ${broken};`]),
    ["iterators of arrays", "(Array.prototype as any)[Symbol.iterator] = () => { throw new Error('broken'); };"],
    ["every object is a promise", "(Object.prototype as any).then = () => undefined;"],
    ["every object describes a property", "(Object.prototype as any).get = () => 7;"],
    ["process.env", "(process as any).env = undefined;"],
  ])("%s", async (_, code) => {
    own ??= await KernelClient.start();
    try {
      await own.finished(own.submit(code), 20_000);
      await own
        .finished(own.submit("console.log('text'); 1 + 1"), 20_000)
        .then(({ result, stdout }) => expect([result, stdout]).toEqual([{ "text/plain": "2" }, "text\n"]));
      await own.request("kernel_info_request", {}, "control", 10_000);
      await own.request("comm_info_request", {}, "shell", 10_000);
      await own.request("complete_request", { code: "consol", cursor_pos: 6 }, "shell", 10_000);
    } catch (error) {
      // The next one begins with a kernel that is whole.
      await own.close();
      own = undefined;
      throw error;
    }
  });
});

describe("child processes", () => {
  const folder = mkdtempSync(join(tmpdir(), "lmt-children-"));
  afterAll(() => rmSync(folder, { recursive: true, force: true }));
  const alive = (pid: number): boolean =>
    existsSync(`/proc/${pid}`) && !/\) Z /.test(readFileSync(`/proc/${pid}/stat`, "latin1"));
  const pidIn = async (name: string): Promise<number> => {
    const file = join(folder, name);
    await eventually(
      async () => (existsSync(file) ? readFileSync(file, "utf8").trim() : ""),
      (text) => expect(text).toMatch(/^\d+$/),
    );
    return Number(readFileSync(file, "utf8"));
  };

  test("execSync ends with an interrupt, and a child beside the cells goes on", async () => {
    await kernel.execute(
      `import { execSync, spawn } from "node:child_process";\nconst beside = spawn("sleep", ["100"]);`,
    );
    const beside = Number((await kernel.execute("beside.pid")).result?.["text/plain"]);
    const cell = kernel.submit(`execSync("echo $$ > ${join(folder, "sync")}; exec sleep 100")`);
    const pid = await pidIn("sync");
    await kernel.request("interrupt_request", {}, "control");
    expect((await kernel.finished(cell, 20_000)).error).toBeDefined();
    expect(alive(pid)).toBe(false);
    expect(alive(beside)).toBe(true);
    await answers();
  });

  test("children end with the kernel, detached ones do not", async () => {
    writeFileSync(
      join(folder, "deaf.sh"),
      `trap '' TERM INT\necho $$ > ${join(folder, "deaf")}\nwhile true; do sleep 0.1; done\n`,
    );
    await kernel.execute(
      `const one = spawn("sh", ["-c", "sleep 100 & echo $! > ${join(folder, "grandchild")}; wait"]);\nconst deaf = spawn("sh", ["${join(folder, "deaf.sh")}"]);\nconst apart = spawn("sleep", ["30"], { detached: true, stdio: "ignore" });\napart.unref();`,
    );
    const [one, apart] = [
      Number((await kernel.execute("one.pid")).result?.["text/plain"]),
      Number((await kernel.execute("apart.pid")).result?.["text/plain"]),
    ];
    const [grandchild, deaf] = [await pidIn("grandchild"), await pidIn("deaf")];
    await kernel.close();
    await eventually(
      async () => [one, grandchild, deaf].map(alive),
      (still) => expect(still).toEqual([false, false, false]),
    );
    expect(alive(apart)).toBe(true);
    process.kill(apart, "SIGKILL");
  });
});

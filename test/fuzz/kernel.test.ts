/**
 * What comes to a kernel's ports: random bytes, wrong frames and signatures, signed messages of every type with wrong
 * contents, replays. Whatever it is, the kernel goes on: channels answer, and a cell runs.
 */
import { readFileSync } from "node:fs";
import { connect } from "node:net";
import { KernelClient, type Json } from "../support/kernel-client";
import { NASTY, Random, damaged, damagedJson, fuzz } from "./support";

const COMM = "7".repeat(32);
/** A content of each type that a front end sends; but for a shutdown, which would be obeyed. */
const CONTENTS: Readonly<Record<string, Json>> = {
  execute_request: {
    code: "const a: number = 1;\na + 1",
    silent: false,
    store_history: true,
    user_expressions: { x: "1 + 1" },
    allow_stdin: false,
    stop_on_error: true,
  },
  kernel_info_request: {},
  complete_request: { code: "Math.m", cursor_pos: 6 },
  inspect_request: { code: "Math.max", cursor_pos: 7, detail_level: 0 },
  is_complete_request: { code: "for (;;) {" },
  history_request: {
    output: false,
    raw: true,
    hist_access_type: "range",
    session: 0,
    start: 0,
    stop: 5,
    n: 3,
    pattern: "*",
    unique: true,
  },
  comm_info_request: { target_name: "jupyter.widget" },
  comm_open: {
    comm_id: COMM,
    target_name: "jupyter.widget.control",
    data: { state: { _model_name: "X" }, buffer_paths: [["state", "a"]] },
  },
  comm_msg: { comm_id: COMM, data: { method: "request_states", state: { value: 1 }, buffer_paths: [] } },
  comm_close: { comm_id: COMM, data: {} },
  interrupt_request: {},
  input_reply: { status: "ok", value: "text" },
  debug_request: { type: "request", command: "debugInfo", seq: 1 },
  usage_request: {},
};
const CHANNELS = ["shell", "control", "stdin"] as const;
const PORTS = ["shell", "control", "stdin", "iopub", "heartbeat"] as const;
const GREETING = Buffer.concat([
  Buffer.from([0xff, 0, 0, 0, 0, 0, 0, 0, 1, 0x7f, 3, 0]),
  Buffer.from("NULL".padEnd(20, "\0")),
  Buffer.alloc(32),
]);
const READY = Buffer.concat([Buffer.from([4, 26]), Buffer.from("\x05READY\x0bSocket-Type\0\0\0\x03REQ", "latin1")]);

/** An input, as it is kept: bytes for a port, or frames for a channel, whose signature is made when they are sent. */
type Input =
  | { readonly port: (typeof PORTS)[number]; readonly bytes: string }
  | {
      readonly channel: (typeof CHANNELS)[number];
      /** Header, parent, metadata, content as texts; then buffers. */
      readonly parts: readonly string[];
      readonly signature: "right" | "wrong" | "missing";
      readonly again?: boolean;
    };

function generate(random: Random): Buffer {
  return Buffer.from(JSON.stringify(random.chance(0.15) ? bytes(random) : message(random)));
}

function bytes(random: Random): Input {
  const noise = Buffer.from(Array.from({ length: random.int(1, 400) }, () => random.int(0, 256)));
  const greeting = damaged(Buffer.concat([GREETING, READY, noise]), random);
  return { port: random.pick(PORTS), bytes: (random.chance(0.5) ? greeting : noise).toString("base64") };
}

function message(random: Random): Input {
  const type = random.pick(Object.keys(CONTENTS));
  const header = {
    msg_id: `fuzz-${random.int(0, 2 ** 31)}`,
    msg_type: type,
    session: "fuzz",
    username: "fuzz",
    date: "2026-01-01T00:00:00Z",
    version: "5.3",
  };
  const nested = `${"[".repeat(random.int(1, 3000))}1`;
  const texts = [
    JSON.stringify(random.chance(0.3) ? damagedJson(header, random, 0.2) : header),
    JSON.stringify(random.chance(0.2) ? damagedJson(header, random, 0.3) : {}),
    JSON.stringify(random.chance(0.2) ? damagedJson({ a: { b: [1] } }, random, 0.4) : {}),
    JSON.stringify(damagedJson(CONTENTS[type], random, random.pick([0, 0.05, 0.2, 0.5]))),
    ...Array.from({ length: random.int(0, 3) }, () => random.pick(NASTY)),
  ];
  const parts = texts.flatMap((text) =>
    random.chance(0.03)
      ? []
      : [
          random.chance(0.04)
            ? damaged(Buffer.from(text), random).toString("latin1")
            : random.chance(0.02)
              ? nested
              : text,
        ],
  );
  return {
    channel: random.pick(CHANNELS),
    parts,
    signature: random.chance(0.85) ? "right" : random.pick(["wrong", "missing"]),
    ...(random.chance(0.1) ? { again: true } : {}),
  };
}

/** A damaged type may be a shutdown, and damaged code anything: neither says something about the kernel. */
const allowed = ({ parts }: Extract<Input, { readonly channel: string }>): boolean =>
  !parts.some((part) => part.includes("shutdown_request"));

let kernel: KernelClient;
let tried = 0;
beforeAll(async () => {
  kernel = await KernelClient.start();
}, 120_000);
afterAll(() => KernelClient.closeAll());

const throwAt = (port: number, data: Buffer): Promise<void> =>
  new Promise((done) => {
    const socket = connect(port, "127.0.0.1", () => socket.write(data, () => setTimeout(() => socket.destroy(), 1)));
    socket.once("close", () => done());
    socket.on("error", () => undefined);
    socket.resume();
  });

/** The channels answer, in order; now and then a cell runs. */
async function lives(): Promise<void> {
  for (const channel of ["control", "shell"] as const) await kernel.request("kernel_info_request", {}, channel);
  if (tried++ % 50 > 0) return;
  expect((await kernel.execute("1 + 1")).result).toEqual({ "text/plain": "2" });
  await kernel.heartbeat.send("beat");
  expect((await kernel.heartbeat.receive()).map(String)).toEqual(["beat"]);
}

fuzz({
  target: "kernel",
  runs: 300,
  generate,
  slowMs: 20_000,
  resident: () =>
    1024 * Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${kernel.process.pid}/status`, "utf8"))?.[1] ?? 0),
  async check(data) {
    const input = JSON.parse(data.toString()) as Input;
    if ("port" in input) {
      await throwAt(kernel.ports[input.port], Buffer.from(input.bytes, "base64"));
      await lives();
      return "refused";
    }
    if (!allowed(input)) return "refused";
    const frames = [Buffer.from("<IDS|MSG>"), Buffer.alloc(0), ...input.parts.map((part) => Buffer.from(part, "utf8"))];
    const right = kernel.signed(frames);
    const sent =
      input.signature === "right"
        ? right
        : input.signature === "wrong"
          ? [right[0], Buffer.from("0".repeat(64)), ...right.slice(2)]
          : [right[0], ...right.slice(2)];
    kernel.iopub.length = 0;
    kernel.sendRaw(input.channel, sent);
    if (input.again) kernel.sendRaw(input.channel, sent);
    await lives();
    const own = (type: string): number =>
      kernel.iopub.filter(({ header, parent }) => header.msg_type === type && parent["session"] === "fuzz").length;
    // A message that comes twice runs once.
    expect(own("execute_input")).toBeLessThanOrEqual(1);
    return own("status") > 0 ? "accepted" : "refused";
  },
});

/** Starts a kernel as Jupyter does and runs cells in it: whether it works is best seen so. */
import { spawn } from "node:child_process";
import { createHmac, randomUUID } from "node:crypto";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { createServer, type AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";

type Frames = readonly Buffer[];

/** The text of the last cell's value. @throws Error With what the kernel or the cell said. */
export async function tryKernel(
  argv: readonly string[],
  cells: readonly string[],
  timeoutMs = 60_000,
): Promise<string> {
  const { Dealer, Subscriber } = await import("zeromq");
  const folder = await mkdtemp(join(tmpdir(), "lm-transparency-doctor-"));
  const ports = await freePorts(5);
  const key = randomUUID();
  const session = randomUUID();
  const file = join(folder, "connection.json");
  const names = ["shell_port", "iopub_port", "control_port", "stdin_port", "hb_port"];
  await writeFile(
    file,
    JSON.stringify({
      transport: "tcp",
      ip: "127.0.0.1",
      key,
      signature_scheme: "hmac-sha256",
      ...Object.fromEntries(names.map((name, i) => [name, ports[i]])),
    }),
    { mode: 0o600 },
  );
  const [program, ...args] = argv.map((part) => part.replace("{connection_file}", file));
  const child = spawn(program, args, { cwd: folder, stdio: ["ignore", "ignore", "pipe"], windowsHide: true });
  let said = "";
  child.stderr.setEncoding("utf8").on("data", (text: string) => (said = (said + text).slice(-2000)));
  const shell = new Dealer({ linger: 0, routingId: session });
  const iopub = new Subscriber({ linger: 0 });
  shell.connect(`tcp://127.0.0.1:${ports[0]}`);
  iopub.connect(`tcp://127.0.0.1:${ports[1]}`);
  iopub.subscribe();
  let timer: NodeJS.Timeout | undefined;
  const failed = new Promise<never>((_, reject) => {
    child.once("error", (error) => reject(new Error(`it cannot be started (${error.message})`)));
    child.once("exit", (code) =>
      reject(new Error(`it ended with exit code ${code}: ${said.trim().split("\n")[0] ?? ""}`)),
    );
    timer = setTimeout(() => reject(new Error(`it did not answer within ${timeoutMs / 1000} seconds`)), timeoutMs);
  });
  failed.catch(() => undefined);
  const send = async (type: string, content: object): Promise<string> => {
    const id = randomUUID();
    const date = new Date().toISOString();
    const header = { msg_id: id, msg_type: type, session, username: "doctor", date, version: "5.4" };
    const parts = [header, {}, {}, content].map((part) => JSON.stringify(part));
    await shell.send(["<IDS|MSG>", createHmac("sha256", key).update(parts.join("")).digest("hex"), ...parts]);
    return id;
  };
  const receive = async (): Promise<Record<string, unknown>[]> => {
    const frames: Frames = await Promise.race([iopub.receive(), failed]);
    const at = frames.findIndex((frame) => frame.toString() === "<IDS|MSG>");
    return frames.slice(at + 2, at + 6).map((frame) => JSON.parse(frame.toString()) as Record<string, unknown>);
  };
  /** Sends a request and gathers what is published about it, until it is idle. */
  const ask = async (type: string, content: object): Promise<Map<string, Record<string, unknown>>> => {
    const id = await send(type, content);
    const seen = new Map<string, Record<string, unknown>>();
    for (;;) {
      const [header, parent, , body] = await receive();
      if (parent["msg_id"] !== id) continue;
      seen.set(String(header["msg_type"]), body);
      if (header["msg_type"] === "status" && body["execution_state"] === "idle") return seen;
    }
  };
  let knocking: NodeJS.Timeout | undefined;
  try {
    // A subscription takes effect some time after the connection: asked until something is published about it.
    knocking = setInterval(() => void send("kernel_info_request", {}).catch(() => undefined), 300);
    await receive();
    clearInterval(knocking);
    let value = "";
    for (const code of cells) {
      const seen = await ask("execute_request", {
        code,
        silent: false,
        store_history: true,
        user_expressions: {},
        allow_stdin: false,
        stop_on_error: true,
      });
      const error = seen.get("error");
      if (error !== undefined) throw new Error(`a cell failed: ${String(error["evalue"]).split("\n")[0]}`);
      const data = seen.get("execute_result")?.["data"] as Record<string, string> | undefined;
      value = data?.["text/plain"] ?? "";
    }
    return value;
  } finally {
    clearTimeout(timer);
    clearInterval(knocking);
    shell.close();
    iopub.close();
    child.removeAllListeners();
    const gone = new Promise((done) => child.once("exit", done));
    if (child.pid !== undefined && child.exitCode === null && child.kill("SIGTERM")) {
      const kill = setTimeout(() => child.kill("SIGKILL"), 3000);
      await gone;
      clearTimeout(kill);
    }
    await rm(folder, { recursive: true, force: true }).catch(() => undefined);
  }
}

async function freePorts(count: number): Promise<number[]> {
  const servers = await Promise.all(
    Array.from({ length: count }, async () => {
      const server = createServer();
      await new Promise<void>((done) => server.listen(0, "127.0.0.1", done));
      return server;
    }),
  );
  const ports = servers.map((server) => (server.address() as AddressInfo).port);
  await Promise.all(servers.map((server) => new Promise((done) => server.close(done))));
  return ports;
}

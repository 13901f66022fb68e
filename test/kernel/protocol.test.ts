import { KernelClient, type Json } from "../support/kernel-client";

jest.setTimeout(240_000);

let kernel: KernelClient;
beforeAll(async () => {
  kernel = await KernelClient.start();
});
afterAll(() => KernelClient.closeAll());

test("kernel_info names protocol, language and what is supported", async () => {
  for (const channel of ["shell", "control"] as const) {
    expect(await kernel.request("kernel_info_request", {}, channel)).toMatchObject({
      status: "ok",
      protocol_version: "5.4",
      implementation: "lm-transparency",
      language_info: { name: "typescript", file_extension: ".ts", mimetype: "text/typescript" },
    });
  }
});

test.each([
  ["const a = 1", "complete"],
  ["function f() {", "incomplete"],
  ["const t = `abc", "incomplete"],
  ["/* comment", "incomplete"],
  ["for await (const x of y) { z(x); }", "complete"],
  ["const = ;", "invalid"],
])("is_complete of %j: %s", async (code, status) => {
  expect((await kernel.request("is_complete_request", { code }))["status"]).toBe(status);
});

test("completion counts code points, and replaces the word under the cursor", async () => {
  const code = "const s = '😀😀'; Math.ma";
  const reply = await kernel.request("complete_request", { code, cursor_pos: [...code].length });
  expect(reply).toMatchObject({ status: "ok", cursor_start: [...code].length - 2, cursor_end: [...code].length });
  expect(reply["matches"]).toContain("max");
});

test("inspection of nothing finds nothing", async () => {
  expect(await kernel.request("inspect_request", { code: "  ", cursor_pos: 1, detail_level: 0 })).toMatchObject({
    status: "ok",
    found: false,
    data: {},
  });
});

test("history: tail, range and search, with results, once each", async () => {
  for (const code of ["1 + 10", "2 + 20", "1 + 10"]) await kernel.execute(code);
  const ask = async (content: Json): Promise<unknown> =>
    (await kernel.request("history_request", { output: false, raw: true, ...content }))["history"];
  const lines = ((await ask({ hist_access_type: "tail", n: 3 })) as unknown[][]).map((entry) => entry[1] as number);
  const [first] = lines as [number];
  expect(await ask({ hist_access_type: "tail", n: 2 })).toEqual([
    [1, first + 1, "2 + 20"],
    [1, first + 2, "1 + 10"],
  ]);
  expect(await ask({ hist_access_type: "range", session: 0, start: first, stop: first + 1, output: true })).toEqual([
    [1, first, ["1 + 10", "11"]],
  ]);
  expect(await ask({ hist_access_type: "search", pattern: "1 + ?0", unique: true })).toEqual([
    [1, first + 2, "1 + 10"],
  ]);
  expect(await ask({ hist_access_type: "search", pattern: "2*", n: 1 })).toEqual([[1, first + 1, "2 + 20"]]);
});

test("clear_output and displays that are updated, by the cell's host", async () => {
  const run = await kernel.execute(
    "const h = (globalThis as any)[Symbol.for('lm-transparency.comm-host')];\nh.display({ 'text/plain': 'a' }, { displayId: 'd', metadata: { m: 1 } });\nh.updateDisplay('d', { 'text/plain': 'b' });\nh.clearOutput({ wait: true });",
  );
  const shown = run.messages
    .filter((message) => /display|clear/.test(message.header.msg_type))
    .map((message) => [message.header.msg_type, message.content]);
  expect(shown).toEqual([
    ["display_data", { data: { "text/plain": "a" }, metadata: { m: 1 }, transient: { display_id: "d" } }],
    ["update_display_data", { data: { "text/plain": "b" }, metadata: {}, transient: { display_id: "d" } }],
    ["clear_output", { wait: true }],
  ]);
});

test("requests with content that is none get an error reply, unknown ones none; the kernel lives", async () => {
  for (const type of ["complete_request", "inspect_request", "is_complete_request", "execute_request"]) {
    expect((await kernel.request(type, { code: 5 }))["status"]).toBe("error");
  }
  const id = kernel.send("shell", "nonsense_request", {});
  await kernel.until(() => (kernel.isIdle(id) ? true : undefined));
  expect((await kernel.execute("1"))["reply"]["status"]).toBe("ok");
});

test.each([[false], [true]])("shutdown (restart: %s) is answered, and the process ends", async (restart) => {
  const own = await KernelClient.start();
  const id = own.submit("console.log('x'); await new Promise(() => {});");
  await own.until(() => own.messagesOf(id).find((message) => message.header.msg_type === "stream"));
  expect(await own.request("shutdown_request", { restart }, "control")).toEqual({ status: "ok", restart });
  expect([await own.exited, own.process.signalCode, own.log]).toEqual([0, null, ""]);
  await own.close();
});

test("shutdown ends a cell that loops", async () => {
  const own = await KernelClient.start();
  const id = own.submit("console.log('x'.padEnd(70000)); while (true);");
  await own.until(() => own.messagesOf(id).find((message) => message.header.msg_type === "stream"));
  expect(await own.request("shutdown_request", { restart: false }, "control")).toMatchObject({ status: "ok" });
  expect([await own.exited, own.process.signalCode, own.log]).toEqual([0, null, ""]);
  await own.close();
});

test("the kernel ends when the process that Jupyter names as its parent is gone", async () => {
  const { spawn } = await import("node:child_process");
  const parent = spawn("sleep", ["60"]);
  const own = await KernelClient.start({ env: { JPY_PARENT_PID: String(parent.pid) } });
  parent.kill("SIGKILL");
  await own.exited;
  await own.close();
});

test("a comm message's answer comes before its busy and idle; a comm that was slow says busy first", async () => {
  await kernel.execute(
    'import { commHost } from "lm-transparency/ipywidgets";\ncommHost().registerTarget("pace", (comm) => comm.onMessage(({ data }) => { const end = Date.now() + Number(data.ms); while (Date.now() < end); comm.send({ done: true }); }));',
  );
  kernel.send("shell", "comm_open", { comm_id: "pace-1", target_name: "pace", data: {} });
  const order = async (ms: number): Promise<unknown[]> => {
    const id = kernel.send("shell", "comm_msg", { comm_id: "pace-1", data: { ms } });
    await kernel.until(() => (kernel.isIdle(id) ? true : undefined));
    return kernel.messagesOf(id).map((message) => message.content["execution_state"] ?? message.header.msg_type);
  };
  /** On a loaded machine any handler may have been slow the last time: asked again until it was not. */
  const quick = async (): Promise<void> => {
    for (let tries = 0; tries < 50; tries++)
      if (JSON.stringify(await order(0)) === '["comm_msg","busy","idle"]') return;
    throw new Error("a quick comm never answered before its busy");
  };
  await quick();
  await order(300);
  expect(await order(0)).toEqual(["busy", "comm_msg", "idle"]);
  await quick();
});

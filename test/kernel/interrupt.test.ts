import { KernelClient } from "../support/kernel-client";

jest.setTimeout(240_000);

let kernel: KernelClient;
beforeAll(async () => {
  kernel = await KernelClient.start();
  await kernel.execute("0");
});
afterAll(() => KernelClient.closeAll());

/** Both ways in which Jupyter interrupts. */
const ways: [string, () => void][] = [
  ["by message", () => kernel.send("control", "interrupt_request", {})],
  ["by signal", () => kernel.process.kill("SIGINT")],
];

async function started(id: string): Promise<void> {
  await kernel.until(() => kernel.messagesOf(id).find((message) => message.header.msg_type === "stream"));
}

describe.each(ways)("%s", (way, interrupt) => {
  test("a cell that awaits ends at once, and library work gets its abort signal", async () => {
    const id = kernel.submit(
      "const host = (globalThis as any)[Symbol.for('lm-transparency.comm-host')];\nhost.cell.signal.addEventListener('abort', () => console.log('aborted:', host.cell.signal.reason.name));\nconsole.log('begun');\nawait new Promise(() => {});",
    );
    await started(id);
    interrupt();
    const run = await kernel.finished(id);
    expect(run.error).toMatchObject({ ename: "InterruptedError", evalue: "The cell was interrupted." });
    expect(run.stdout).toBe("begun\naborted: InterruptedError\n");
  });

  test("a loop that never awaits ends", async () => {
    const id = kernel.submit("console.log('begun'.padEnd(70000));\nwhile (true);");
    await started(id);
    interrupt();
    expect((await kernel.finished(id)).error?.ename).toBe("InterruptedError");
    expect((await kernel.execute("1 + 1")).result).toEqual({ "text/plain": "2" });
  });

  test("cells that wait are aborted", async () => {
    const id = kernel.submit("console.log('begun'); await new Promise(() => {});");
    const next = kernel.submit("'next'");
    await started(id);
    interrupt();
    expect((await kernel.finished(id)).reply["status"]).toBe("error");
    expect((await kernel.reply(next)).content["status"]).toBe("aborted");
  });

  test("an idle kernel takes it without harm", async () => {
    const id = kernel.submit("const heard = () => console.log('came');\nprocess.once('SIGINT', heard); undefined");
    await kernel.finished(id);
    interrupt();
    // A message is dealt with when it is answered; a signal when a listener has heard it.
    if (way === "by signal") await started(id);
    else await kernel.request("kernel_info_request", {}, "control");
    await kernel.execute("await null;\nprocess.off('SIGINT', heard); undefined");
    expect((await kernel.execute("'alive'")).result).toEqual({ "text/plain": "'alive'" });
  });
});

test("a loop after an await ends by message", async () => {
  const id = kernel.submit("await null;\nconsole.log('begun'.padEnd(70000));\nwhile (true);");
  await started(id);
  kernel.send("control", "interrupt_request", {});
  expect((await kernel.finished(id)).error?.ename).toBe("InterruptedError");
  expect((await kernel.execute("1 + 1")).result).toEqual({ "text/plain": "2" });
});

test("a question to the user is taken back", async () => {
  const id = kernel.submit("console.log('begun'); await input('?')", { allow_stdin: true });
  await started(id);
  kernel.send("control", "interrupt_request", {});
  expect((await kernel.finished(id)).error?.ename).toBe("InterruptedError");
});

test("the heartbeat beats and the control channel is read while a cell loops", async () => {
  const id = kernel.submit("console.log('begun'.padEnd(70000)); while (true);");
  await started(id);
  await kernel.heartbeat.send("ping");
  expect(String(await kernel.heartbeat.receive())).toBe("ping");
  expect(kernel.isIdle(id)).toBe(false);
  kernel.send("control", "interrupt_request", {});
  await kernel.finished(id);
});

test("while a cell awaits, comm and info requests are answered, and the kernel stays busy", async () => {
  const id = kernel.submit("console.log('begun'); await new Promise(() => undefined);");
  await started(id);
  const asked = kernel.send("control", "kernel_info_request", {});
  await kernel.reply(asked);
  const comm = kernel.send("shell", "comm_info_request", {});
  await kernel.reply(comm);
  expect(kernel.isIdle(id)).toBe(false);
  await kernel.until(() => (kernel.isIdle(comm) ? true : undefined));
  // After the answer's idle, the last status is the cell's busy again.
  const last = (): unknown => kernel.iopub.filter((message) => message.header.msg_type === "status").at(-1);
  await kernel.until(() => ((last() as { parent: { msg_id?: string } }).parent.msg_id === id ? true : undefined));
  expect(last()).toMatchObject({ content: { execution_state: "busy" } });
  kernel.send("control", "interrupt_request", {});
  await kernel.finished(id);
});

/** Answers in a notebook: they show as they come, and an interrupt keeps what is there. */
import { defaultModelFile } from "../support/default-model";
import { KernelClient } from "../support/kernel-client";

jest.setTimeout(240_000);

let kernel: KernelClient;
beforeAll(async () => {
  const file = await defaultModelFile();
  kernel = await KernelClient.start();
  const { error } = await kernel.execute(
    `import { loadModel } from "lm-transparency";\nconst model = await loadModel(${JSON.stringify(file)});\nconst run = await model.run([{ role: "user", content: "Count from one to a thousand." }]);`,
  );
  expect(error).toBeUndefined();
});
afterAll(() => KernelClient.closeAll());

/** Text that a request has shown so far. */
const shown = (id: string): string =>
  kernel
    .messagesOf(id)
    .filter((message) => message.header.msg_type === "stream")
    .map((message) => String(message.content["text"]))
    .join("");

test("an answer shows below its cell as it comes, and is there afterwards", async () => {
  const { stdout, error, messages } = await kernel.execute(
    "const answer = await run.generate({ maxTokens: 20 });\nawait null;",
  );
  expect(error).toBeUndefined();
  const { result } = await kernel.execute(
    "model.decode(answer.tokens.slice(answer.promptLength).map(({ id }) => id)) + '\\n'",
  );
  expect(JSON.parse(String(result?.["text/plain"]).replace(/^'|'$/g, '"'))).toBe(stdout);
  expect(messages.filter(({ header }) => header.msg_type === "stream").length).toBeGreaterThan(3);
});

test("who listens to its tokens shows them, and a stream is its reader's", async () => {
  const own = await kernel.execute(
    "let n = 0;\nconst heard = await run.generate({ maxTokens: 3, onToken: () => n++ });\nconsole.log(n);",
  );
  expect([own.error, own.stdout]).toEqual([undefined, "3\n"]);
  const stream = await kernel.execute(
    "let positions = 0;\nfor await (const { position } of run.stream({ maxTokens: 4 })) positions += position - run.tokens.length;\nconsole.log(positions);",
  );
  expect([stream.error, stream.stdout]).toEqual([undefined, "6\n"]);
});

test("characters of several tokens come whole", async () => {
  const { stdout, error } = await kernel.execute(
    "const ids = model.tokenize('🏴 é', { addSpecialTokens: false }).map(({ id }) => id);\nawait run.generate({ maxTokens: ids.length, sampler: (_, tokens) => ids[tokens.length - run.tokens.length] });\n0;",
  );
  expect([error, stdout]).toEqual([undefined, "🏴 é\n"]);
});

describe("an interrupt", () => {
  test("keeps what is there, and ends the cells that wait", async () => {
    const id = kernel.submit("const cut = await run.generate({ maxTokens: 4000 });\nawait new Promise(() => {});");
    const next = kernel.submit("'next'");
    await kernel.until(() => shown(id).length > 10 || undefined);
    kernel.send("control", "interrupt_request", {});
    const { error } = await kernel.finished(id);
    expect(error).toMatchObject({ ename: "InterruptedError" });
    expect((await kernel.reply(next)).content["status"]).toBe("aborted");
    const { result, error: lost } = await kernel.execute(
      "[cut.stopReason, cut.tokens.length > cut.promptLength, cut.tokens.length < 4000, (await cut.logits({ position: cut.tokens.length - 1 })).dims[0] === model.info.dVocab].join()",
    );
    expect([lost, result]).toEqual([undefined, { "text/plain": "'aborted,true,true,true'" }]);
  });

  test("of the last expression shows it", async () => {
    const id = kernel.submit("await run.generate({ maxTokens: 4000 })");
    await kernel.until(() => shown(id).length > 10 || undefined);
    kernel.send("control", "interrupt_request", {});
    const { result, error } = await kernel.finished(id);
    expect(error).toBeUndefined();
    expect(String(result?.["text/plain"])).toMatch(/^Run of Smollm2/);
  });

  test("of a loop over a stream leaves what the loop has gathered", async () => {
    const id = kernel.submit(
      "const gathered: number[] = [];\nfor await (const { id } of run.stream({ maxTokens: 4000 })) { gathered.push(id); console.log(id); }",
    );
    await kernel.until(() => shown(id).length > 10 || undefined);
    kernel.send("control", "interrupt_request", {});
    await kernel.finished(id);
    const { result } = await kernel.execute("gathered.length > 1 && gathered.length < 4000");
    expect(result).toEqual({ "text/plain": "true" });
  });

  test("does not wait for what never finishes", async () => {
    const id = kernel.submit(
      "const left = run.stream();\nawait left.next();\nconsole.log('begun');\nawait new Promise(() => {});",
    );
    await kernel.until(() => shown(id).length > 0 || undefined);
    kernel.send("control", "interrupt_request", {});
    expect((await kernel.finished(id)).error).toMatchObject({ ename: "InterruptedError" });
    expect((await kernel.execute("1 + 1")).result).toEqual({ "text/plain": "2" });
  });
});

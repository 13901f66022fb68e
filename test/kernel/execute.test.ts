import { KernelClient } from "../support/kernel-client";

jest.setTimeout(240_000);

let kernel: KernelClient;
beforeAll(async () => {
  kernel = await KernelClient.start();
});
afterAll(() => KernelClient.closeAll());

/** A traceback without its colours. */
function plain(lines: readonly string[] | undefined): string {
  return (lines ?? []).join("\n").replace(/\u001b\[[0-9;]*m/g, "");
}

describe("results", () => {
  test("the last expression is the result, counted and with its input published", async () => {
    const run = await kernel.execute("const one = 1;\none + 1");
    expect(run.result).toEqual({ "text/plain": "2" });
    expect(run.reply).toMatchObject({ status: "ok" });
    const input = run.messages.find((message) => message.header.msg_type === "execute_input");
    expect(input?.content).toEqual({ code: "const one = 1;\none + 1", execution_count: run.reply["execution_count"] });
    expect(run.messages[0]?.content).toEqual({ execution_state: "busy" });
  });

  test("a promise's value is the result, and top-level await works in every form", async () => {
    expect((await kernel.execute("Promise.resolve([1, 2])")).result).toEqual({ "text/plain": "[ 1, 2 ]" });
    expect((await kernel.execute("const a = await (Promise.resolve(5));\na")).result).toEqual({ "text/plain": "5" });
    const loop = await kernel.execute(
      "async function* three() { yield 1; yield 2; yield 3; }\nlet sum = 0;\nfor await (const n of three()) sum += n;\nsum",
    );
    expect(loop.error).toBeUndefined();
    expect(loop.result).toEqual({ "text/plain": "6" });
  });

  test("variables, types, functions and classes live on in later cells, also in shorthand properties and when declared anew", async () => {
    await kernel.execute(
      "interface Point { x: number }\nlet p: Point = { x: 3 };\nfunction twice(n: number) { return 2 * n; }\nclass Box { constructor(readonly v: number) {} }",
    );
    expect((await kernel.execute("twice(p.x) + new Box(1).v")).result).toEqual({ "text/plain": "7" });
    expect((await kernel.execute("({ p })")).result).toEqual({ "text/plain": "{ p: { x: 3 } }" });
    expect((await kernel.execute("p = { x: 4 };\np.x")).result).toEqual({ "text/plain": "4" });
    expect((await kernel.execute("const p = 'new';\np")).result).toEqual({ "text/plain": "'new'" });
  });

  test("a cell that fails leaves what it had declared; variables that it would have declared anew keep their values", async () => {
    expect(
      (
        await kernel.execute(
          "const loaded: number[] = [1, 2];\nfunction total() { return loaded[0] + loaded[1]; }\nthrow new Error('later');",
        )
      ).error?.evalue,
    ).toBe("later");
    expect((await kernel.execute("total() + loaded.length")).result).toEqual({ "text/plain": "5" });
    expect((await kernel.execute("const loaded = JSON.parse('{') as string;\nconst other = 1;")).error?.ename).toBe(
      "SyntaxError",
    );
    expect((await kernel.execute("loaded.length")).result).toEqual({ "text/plain": "2" });
    expect((await kernel.execute("other")).error?.evalue).toContain("Cannot find name 'other'");
  });

  test("a value shows itself by Symbol.for('Jupyter.display'), also asynchronously, bytes as base64", async () => {
    const run = await kernel.execute(
      "({ async [Symbol.for('Jupyter.display')]() { return { 'text/html': '<b>hi</b>', 'image/png': new Uint8Array([1, 2, 3]) }; } })",
    );
    expect(run.result).toEqual({ "text/plain": "", "text/html": "<b>hi</b>", "image/png": "AQID" });
  });

  test("tslab's display works, and its updates", async () => {
    const run = await kernel.execute(
      "import { display, newDisplay } from 'tslab';\ndisplay.html('<i>x</i>');\nconst d = newDisplay();\nd.text('a');\nd.text('b');",
    );
    const shown = run.messages
      .filter((message) => message.header.msg_type.endsWith("display_data"))
      .map((message) => [message.header.msg_type, message.content["data"]]);
    expect(shown).toEqual([
      ["display_data", { "text/html": "<i>x</i>" }],
      ["display_data", { "text/plain": "a" }],
      ["update_display_data", { "text/plain": "b" }],
    ]);
  });

  test("undefined and null show nothing", async () => {
    for (const code of ["undefined", "null", "let nothing = 1", ""])
      expect((await kernel.execute(code)).result).toBeUndefined();
  });
});

describe("streams", () => {
  test("3,000 lines come whole, in order, in few messages", async () => {
    const run = await kernel.execute("for (let i = 0; i < 3000; i++) console.log('line', i);");
    expect(run.stdout).toBe(Array.from({ length: 3000 }, (_, i) => `line ${i}\n`).join(""));
    expect(run.messages.filter((message) => message.header.msg_type === "stream").length).toBeLessThan(100);
  });

  test("stdout and stderr keep their order", async () => {
    const run = await kernel.execute("console.log('a'); console.error('b'); console.log('c');");
    expect(
      run.messages
        .filter((message) => message.header.msg_type === "stream")
        .map((message) => [message.content["name"], message.content["text"]]),
    ).toEqual([
      ["stdout", "a\n"],
      ["stderr", "b\n"],
      ["stdout", "c\n"],
    ]);
  });

  test("what a timer prints later belongs to its own cell", async () => {
    const first = kernel.submit("setTimeout(() => console.log('late'), 300);");
    await kernel.finished(first);
    const second = kernel.submit("await new Promise((r) => setTimeout(r, 600)); console.log('second');");
    expect((await kernel.finished(second)).stdout).toBe("second\n");
    expect(
      kernel
        .messagesOf(first)
        .filter((message) => message.header.msg_type === "stream")
        .map((message) => message.content["text"]),
    ).toEqual(["late\n"]);
  });
});

describe("errors", () => {
  test("a throw has ename, evalue and a traceback that points into the cell", async () => {
    const run = await kernel.execute(
      "function f(x: number): number {\n  // a comment\n  throw new RangeError('boom');\n}\ninterface Unused { a: string }\nf(1);",
    );
    expect(run.error).toMatchObject({ ename: "RangeError", evalue: "boom" });
    expect(run.reply).toMatchObject({ status: "error", ename: "RangeError", evalue: "boom" });
    const text = plain(run.error?.traceback);
    expect(text).toContain("> 3 |   throw new RangeError('boom');");
    expect(text).toMatch(/at f \(cell \[\d+\]:3:9\)/);
    expect(text).toMatch(/cell \[\d+\]:6:1/);
    expect(text).not.toContain("dist/jupyter/kernel");
    expect(run.stderr).toBe("");
  });

  test("a function of an earlier cell is found there, after an await too", async () => {
    const one = await kernel.execute("async function later() {\n  await null;\n  throw new Error('in one');\n}");
    const two = await kernel.execute("\nawait later();");
    expect(plain(two.error?.traceback)).toContain(`cell [${String(one.reply["execution_count"])}]:3:9`);
  });

  test("what does not type-check is not run, and each mistake is shown at its place", async () => {
    const run = await kernel.execute("console.log('ran');\nconst n: number = 'text';");
    expect(run.stdout).toBe("");
    expect(run.error?.ename).toBe("TypeScriptError");
    expect(run.error?.evalue).toContain("line 2, column 7: Type 'string' is not assignable to type 'number'.");
    expect(plain(run.error?.traceback)).toContain("> 2 | const n: number = 'text';");
  });

  test("any thrown value is shown, with causes", async () => {
    expect((await kernel.execute("throw 'just text'")).error).toMatchObject({ ename: "Thrown", evalue: "'just text'" });
    const caused = await kernel.execute("throw new Error('outer', { cause: new TypeError('inner') })");
    expect(plain(caused.error?.traceback)).toContain("TypeError: inner");
  });

  test("a rejection nobody handles and a throw in a timer are shown below their cell; the kernel lives", async () => {
    for (const code of [
      "setTimeout(() => { throw new Error('in timer'); }, 50);",
      "void Promise.reject(new Error('in timer'));",
    ]) {
      const id = kernel.submit(code);
      await kernel.finished(id);
      const shown = await kernel.until(() =>
        kernel.messagesOf(id).find((message) => message.header.msg_type === "error"),
      );
      expect(shown.content).toMatchObject({ ename: "Error", evalue: "in timer" });
    }
    expect((await kernel.execute("1 + 1")).result).toEqual({ "text/plain": "2" });
  });

  test("cells that wait are aborted after an error, unless stop_on_error is off", async () => {
    const ids = [
      kernel.submit("await new Promise((r) => setTimeout(r, 100)); throw new Error('stop');"),
      kernel.submit("'a'"),
      kernel.submit("'b'"),
    ];
    const replies = await Promise.all(ids.map((id) => kernel.reply(id)));
    expect(replies.map((reply) => reply.content["status"])).toEqual(["error", "aborted", "aborted"]);
    expect((await kernel.execute("'after'")).reply["status"]).toBe("ok");
    const kept = [kernel.submit("throw new Error('go on');", { stop_on_error: false }), kernel.submit("'a'")];
    expect((await Promise.all(kept.map((id) => kernel.reply(id)))).map((reply) => reply.content["status"])).toEqual([
      "error",
      "ok",
    ]);
  });

  test("cells that a loop without await held up in the socket are aborted too", async () => {
    const ids = [
      kernel.submit("const until = Date.now() + 300; while (Date.now() < until); throw new Error('stop');"),
      kernel.submit("'a'"),
    ];
    expect((await Promise.all(ids.map((id) => kernel.reply(id)))).map((reply) => reply.content["status"])).toEqual([
      "error",
      "aborted",
    ]);
  });
});

describe("options of a request", () => {
  test("silent shows nothing and counts nothing", async () => {
    const before = (await kernel.execute("0")).reply["execution_count"] as number;
    const run = await kernel.execute("console.log('x'); 5", { silent: true });
    expect(run.messages.map((message) => message.header.msg_type)).toEqual(["status", "status"]);
    expect((await kernel.execute("0")).reply["execution_count"]).toBe(before + 1);
  });

  test("store_history off does not count", async () => {
    const before = (await kernel.execute("0")).reply["execution_count"] as number;
    await kernel.execute("1", { store_history: false });
    expect((await kernel.execute("0")).reply["execution_count"]).toBe(before + 1);
  });

  test("user_expressions give values and errors, each by itself", async () => {
    const run = await kernel.execute("let base = 20", {
      user_expressions: { good: "base * 2", bad: "(() => { throw new Error('no'); })()" },
    });
    expect(run.reply["user_expressions"]).toMatchObject({
      good: { status: "ok", data: { "text/plain": "40" } },
      bad: { status: "error", ename: "Error", evalue: "no" },
    });
  });

  test("input asks the front end, and says so where it takes none", async () => {
    const id = kernel.submit(
      "const name = await input('Name? ');\nconst secret = await input('Password: ', { password: true });\nname + secret",
      { allow_stdin: true },
    );
    const seen: string[] = [];
    for (const answer of ["Ada", "42"]) {
      const request = await kernel.until(() =>
        kernel.replies.find(
          (message) =>
            message.channel === "stdin" && message.parent.msg_id === id && !seen.includes(message.header.msg_id),
        ),
      );
      seen.push(request.header.msg_id);
      expect(request.content).toEqual(
        answer === "Ada" ? { prompt: "Name? ", password: false } : { prompt: "Password: ", password: true },
      );
      kernel.send("stdin", "input_reply", { status: "ok", value: answer }, { parent: request.header });
    }
    expect((await kernel.finished(id)).result).toEqual({ "text/plain": "'Ada42'" });
    expect((await kernel.execute("await input('?')")).error?.evalue).toContain("takes no input");
  });
});

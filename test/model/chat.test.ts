/** Conversations rendered by templates in the formats of well-known models, against transformers' apply_chat_template. */
import fs from "node:fs";
import os from "node:os";
import path from "node:path";
import { endOfTurn, renderMessages, strftime, type ChatFormat } from "../../src/model/chat";
import { folderChat, ggufChat } from "../../src/model/chat-files";
import { GgufMetadata } from "../../src/model/gguf-metadata";
import type { ChatMessage } from "../../src/model/types";
import { root } from "../support/fixtures";

interface Case {
  readonly template: string;
  readonly conversation: string;
  readonly addGenerationPrompt: boolean;
  readonly tools: boolean;
  readonly text?: string;
  readonly refused?: string;
}

const folder = path.join(root, "test/reference/chat_templates");
const reference = JSON.parse(fs.readFileSync(path.join(root, "test/reference/chat-templates.json"), "utf8")) as {
  readonly special_tokens: Record<string, string>;
  readonly tools: readonly object[];
  readonly conversations: Readonly<Record<string, readonly ChatMessage[]>>;
  readonly cases: readonly Case[];
};

const formatOf = (template: string): ChatFormat => ({
  origin: "a test",
  templates: new Map([["default", template]]),
  specialTokens: reference.special_tokens,
  endIds: [],
});
const formats = new Map(
  fs
    .readdirSync(folder)
    .map((file) => [path.basename(file, ".jinja"), formatOf(fs.readFileSync(path.join(folder, file), "utf8"))]),
);

const render = ({ template, conversation, addGenerationPrompt, tools }: Case) =>
  renderMessages(formats.get(template), template, reference.conversations[conversation], {
    addGenerationPrompt,
    ...(tools && { tools: reference.tools }),
  });

test("there are templates of at least fifteen models, rendered and refused", () => {
  expect(formats.size).toBeGreaterThanOrEqual(15);
  const rendered = reference.cases.filter(({ text }) => text !== undefined);
  expect(rendered.length).toBeGreaterThan(400);
  expect(reference.cases.length - rendered.length).toBeGreaterThan(20);
});

describe.each([...formats.keys()])("%s", (name) => {
  const cases = reference.cases.filter(({ template }) => template === name);

  test("renders what apply_chat_template renders, byte for byte, and refuses what it refuses", () => {
    for (const one of cases) {
      const what = [one.conversation, one.addGenerationPrompt, one.tools];
      if (one.text === undefined) {
        expect([what, attempt(() => render(one).text)]).toEqual([what, expect.any(Error)]);
        expect((attempt(() => render(one).text) as Error).message).toMatch(/^The chat template of .*\.$/);
      } else {
        expect([what, attempt(() => render(one).text)]).toEqual([what, one.text]);
      }
    }
  });

  test("its turns are the messages, in order, over the whole text; contents are found", () => {
    let found = 0;
    for (const one of cases) {
      if (one.text === undefined) continue;
      const { text, turns } = render(one);
      const messages = reference.conversations[one.conversation];
      expect(turns.slice(0, messages.length).map(({ role }) => role)).toEqual(messages.map(({ role }) => role));
      expect([turns[0].from, turns[turns.length - 1].to]).toEqual([0, text.length]);
      turns.forEach(({ from, to, contentFrom, contentTo }, i) => {
        expect(from).toBe(turns[i - 1]?.to ?? 0);
        expect(to).toBeGreaterThanOrEqual(from);
        if (contentFrom === undefined) return;
        found++;
        const content = (messages[i].content as string).trim();
        expect(text.slice(contentFrom, contentTo).trim()).toBe(content);
        expect(contentFrom).toBeGreaterThanOrEqual(from);
        expect(contentTo).toBeLessThanOrEqual(to);
      });
    }
    if (name !== "strftime" && name !== "granite-macros") expect(found).toBeGreaterThan(10);
  });
});

test("turns end where the template ends them", () => {
  const messages = reference.conversations.system;
  const { text, turns } = renderMessages(formats.get("chatml"), "chatml", messages);
  expect(turns.map(({ role, from, to }) => [role, text.slice(from, to)])).toEqual([
    ["system", "<|im_start|>system\nBe brief.\n<|im_end|>\n"],
    ["user", "<|im_start|>user\n  What is 2 + 2?  <|im_end|>\n"],
    ["assistant", "<|im_start|>assistant\n"],
  ]);
  expect(turns.map(({ contentFrom, contentTo }) => text.slice(contentFrom ?? 0, contentTo ?? 0))).toEqual([
    "Be brief.\n",
    "  What is 2 + 2?  ",
    "",
  ]);
});

test("a template's end of turn is what it puts behind an answer", () => {
  const ends = ["chatml", "llama3", "mistral", "gemma", "phi3"].map((name) => endOfTurn(formats.get(name)!, name));
  expect(ends).toEqual(["<|im_end|>\n", "<|eot_id|>", "</s>", "<end_of_turn>\n", "<|end|>\n</s>"]);
});

test("named templates: by name, for tools, the default; a text is a template itself", () => {
  const format: ChatFormat = {
    ...formatOf("d"),
    templates: new Map([
      ["default", "d"],
      ["tool_use", "t{{ tools | length }}"],
      ["rag", "r"],
    ]),
  };
  const messages = [{ role: "user", content: "x" }];
  const text = (options: object, of = format) => renderMessages(of, "m", messages, options).text;
  expect([
    text({}),
    text({ tools: [{}] }),
    text({ template: "rag" }),
    text({ template: "{{ messages | length }}" }),
  ]).toEqual(["d", "t1", "r", "1"]);
  expect(() => text({ template: "other" })).toThrow(
    'The model m has no chat template "other"; it has default, tool_use and rag. Give one of its names, or the text of a Jinja template.',
  );
  const several = { ...format, templates: new Map([["rag", "r"]]) };
  expect(() => text({}, several)).toThrow("has several chat templates and none is the default: give template as rag.");
  expect(() => renderMessages(undefined, "m", messages)).toThrow("The model m comes without a chat template: give one");
  expect(() => text({ template: "{% for %}" })).toThrow(/^The chat template of m cannot be read: /);
  expect(() => text({ template: "{{ raise_exception('No  way.') }}" })).toThrow(
    "The chat template of m refuses this conversation: No way.",
  );
});

test("dates are those of Python's strftime", () => {
  const format = "%Y %y %m %d %e %-d %b %B %a %A %H %I %M %S %p %j %U %W %u %w %F %T %D %C %%";
  // datetime(…).strftime(format) of Python 3.11
  expect(strftime(new Date(2024, 6, 6, 9, 5, 3), format)).toBe(
    "2024 24 07 06  6 6 Jul July Sat Saturday 09 09 05 03 AM 188 26 27 6 6 2024-07-06 09:05:03 07/06/24 20 %",
  );
  expect(strftime(new Date(2023, 0, 1, 0, 0, 0), "%j %U %W %I %p %u")).toBe("001 01 00 12 AM 7");
  expect(strftime(new Date(2026, 11, 31, 23, 59, 59), "%j %U %W %I %p")).toBe("365 52 52 11 PM");
});

function attempt(work: () => string): string | Error {
  try {
    return work();
  } catch (error) {
    return error as Error;
  }
}

describe("files", () => {
  let scratch: string;
  beforeEach(() => (scratch = fs.mkdtempSync(path.join(os.tmpdir(), "chat-"))));
  afterEach(() => fs.rmSync(scratch, { recursive: true }));
  const write = (name: string, value: unknown): void => {
    fs.mkdirSync(path.dirname(path.join(scratch, name)), { recursive: true });
    fs.writeFileSync(path.join(scratch, name), typeof value === "string" ? value : JSON.stringify(value));
  };

  test("templates of a folder, the newer place first; special tokens; ends of an answer", async () => {
    write("config.json", { eos_token_id: 7 });
    write("chat_template.json", { chat_template: "oldest" });
    expect(await folderChat(scratch)).toMatchObject({ templates: new Map([["default", "oldest"]]), endIds: [7] });
    write("special_tokens_map.json", { bos_token: "<b>", eos_token: "<e>" });
    write("tokenizer_config.json", { chat_template: "older", bos_token: { content: "<s>" }, pad_token: null });
    expect(await folderChat(scratch)).toMatchObject({
      templates: new Map([["default", "older"]]),
      specialTokens: { bos_token: "<s>", eos_token: "<e>" },
    });
    write("tokenizer_config.json", {
      chat_template: [
        { name: "default", template: "a" },
        { name: "rag", template: "b" },
      ],
    });
    expect([...(await folderChat(scratch)).templates]).toEqual([
      ["default", "a"],
      ["rag", "b"],
    ]);
    write("chat_template.jinja", "newest\n");
    write("additional_chat_templates/tool_use.jinja", "tools");
    write("generation_config.json", { eos_token_id: [1, 2] });
    expect(await folderChat(scratch)).toMatchObject({
      templates: new Map([
        ["default", "newest\n"],
        ["tool_use", "tools"],
      ]),
      endIds: [1, 2],
    });
    fs.rmSync(path.join(scratch, "chat_template.jinja"));
    fs.rmSync(path.join(scratch, "additional_chat_templates"), { recursive: true });
    write("tokenizer_config.json", { chat_template: 3 });
    await expect(folderChat(scratch)).rejects.toThrow(
      'tokenizer_config.json: chat_template must be a text, or a list of templates with "name" and "template".',
    );
  });

  test("those of a GGUF file", () => {
    const metadata = new GgufMetadata("a.gguf", {
      "general.architecture": "llama",
      "tokenizer.ggml.tokens": ["<s>", "</s>", "<eot>"],
      "tokenizer.ggml.bos_token_id": 0,
      "tokenizer.ggml.eos_token_id": 1,
      "tokenizer.ggml.eot_token_id": 2,
      "tokenizer.chat_template": "main",
      "tokenizer.chat_templates": ["tool_use"],
      "tokenizer.chat_template.tool_use": "tools",
    });
    expect(ggufChat(metadata)).toEqual({
      origin: "a.gguf",
      templates: new Map([
        ["tool_use", "tools"],
        ["default", "main"],
      ]),
      specialTokens: { bos_token: "<s>", eos_token: "</s>" },
      endIds: [1, 2],
    });
  });
});

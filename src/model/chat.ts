/**
 * Conversations as a model's prompt: its own template, rendered as `apply_chat_template` of transformers 5.24 renders
 * it (jinja2 with `trim_blocks` and `lstrip_blocks`).
 */
import { parseTemplate, renderTemplate } from "./chat-jinja";
import { ModelFileError, list } from "./errors";
import type { ChatMessage, ChatOptions } from "./types";

/** What a model's files say of conversations. */
export interface ChatFormat {
  /** Where the templates come from, for messages. */
  readonly origin: string;
  /** Templates by name; a single one is "default". */
  readonly templates: ReadonlyMap<string, string>;
  /** `bos_token`, `eos_token`, … as templates see them. */
  readonly specialTokens: Readonly<Record<string, string>>;
  /** Ids after which an answer is over. */
  readonly endIds: readonly number[];
  /** Why a file that only conversations and answers need could not be read. */
  readonly unreadable?: Error;
}

/** A rendered conversation, and where in it each message is, in UTF-16 units. */
export interface RenderedText {
  readonly text: string;
  readonly turns: readonly TextTurn[];
}

/** `from`, `to`: with what the template adds; `contentFrom`, `contentTo`: the message's own text, where it is found. */
export interface TextTurn {
  readonly role: string;
  readonly from: number;
  readonly to: number;
  readonly contentFrom?: number;
  readonly contentTo?: number;
}

/** Throws a `TypeError` where these are no messages. */
export function checkMessages(messages: unknown): asserts messages is readonly ChatMessage[] {
  if (!Array.isArray(messages) || messages.length === 0)
    throw new TypeError('A conversation is a list of messages, such as [{ role: "user", content: "Hello" }].');
  messages.forEach((message: unknown, i) => {
    if (!isMessage(message))
      throw new TypeError(
        `Message ${i} of the conversation has no role: each one is an object such as { role: "user", content: "Hello" }.`,
      );
    const { content } = message;
    if (content !== undefined && content !== null && typeof content !== "string" && !Array.isArray(content))
      throw new TypeError(`The content of message ${i} is of type ${typeof content}: give a text.`);
  });
}

/** Whether a value is a message rather than a prompt. */
export function isMessage(value: unknown): value is ChatMessage {
  return typeof value === "object" && value !== null && "role" in value && typeof value.role === "string";
}

/** Renders a conversation. Throws a `ModelFileError` where there is no template, or the template refuses. */
export function renderMessages(
  format: ChatFormat | undefined,
  modelName: string,
  messages: readonly ChatMessage[],
  options: ChatOptions = {},
): RenderedText {
  if (format?.unreadable) throw format.unreadable;
  const source = templateOf(format, modelName, options);
  const template = new ChatTemplate(source, format?.specialTokens ?? {}, modelName, options.tools);
  const { addGenerationPrompt = true } = options;
  const text = template.render(messages, addGenerationPrompt);
  return { text, turns: turnsOf(template, messages, text, addGenerationPrompt) };
}

/** What the model's template puts behind an answer: "<|im_end|>\n"; undefined where that cannot be told. */
export function endOfTurn(format: ChatFormat, modelName: string): string | undefined {
  try {
    const template = new ChatTemplate(templateOf(format, modelName, {}), format.specialTokens, modelName);
    const messages = [
      { role: "user", content: marker(0) },
      { role: "assistant", content: marker(1) },
    ];
    const text = template.render(messages, false);
    const at = text.lastIndexOf(marker(1));
    return at < 0 ? undefined : text.slice(at + marker(1).length);
  } catch {
    // A template that refuses such a conversation says nothing about its end.
    return undefined;
  }
}

function templateOf(format: ChatFormat | undefined, modelName: string, { template, tools }: ChatOptions): string {
  const templates = format?.templates ?? new Map<string, string>();
  if (template !== undefined) {
    const named = templates.get(template);
    if (named !== undefined) return named;
    if (/[{\n]/.test(template)) return template;
    throw new RangeError(
      `The model ${modelName} has no chat template "${template}"${templates.size > 0 ? `; it has ${list([...templates.keys()])}` : ""}. Give one of its names, or the text of a Jinja template.`,
    );
  }
  const chosen = (tools !== undefined ? templates.get("tool_use") : undefined) ?? templates.get("default");
  if (chosen !== undefined) return chosen;
  if (templates.size > 0)
    throw new RangeError(
      `The model ${modelName} has several chat templates and none is the default: give template as ${list([...templates.keys()], "or")}.`,
    );
  throw new ModelFileError(
    `The model ${modelName} comes without a chat template: give one as template, such as "{% for message in messages %}{{ message.role }}: {{ message.content }}\\n{% endfor %}", or run a text.`,
  );
}

/** A compiled template with everything but the messages. */
class ChatTemplate {
  readonly #program: object;

  constructor(
    source: string,
    private readonly specialTokens: Readonly<Record<string, string>>,
    private readonly modelName: string,
    private readonly tools?: readonly unknown[],
  ) {
    try {
      this.#program = parseTemplate(source);
    } catch (error) {
      throw new ModelFileError(`The chat template of ${modelName} cannot be read: ${reason(error)}.`);
    }
  }

  render(messages: readonly ChatMessage[], addGenerationPrompt: boolean): string {
    const globals: Record<string, unknown> = {
      true: true,
      false: false,
      none: null,
      True: true,
      False: false,
      None: null,
      range: (start: number, stop?: number, step = 1) => range(start, stop, step),
      raise_exception: (message: unknown) => {
        throw new RefusedByTemplate(String(message));
      },
      strftime_now: (format: string) => strftime(new Date(), format),
      ...this.specialTokens,
      messages: messages.map(withReasoning),
      tools: this.tools ?? null,
      documents: null,
      add_generation_prompt: addGenerationPrompt,
    };
    try {
      return renderTemplate(this.#program, globals);
    } catch (error) {
      if (error instanceof RefusedByTemplate)
        throw new ModelFileError(`The chat template of ${this.modelName} refuses this conversation: ${reason(error)}.`);
      throw new ModelFileError(`The chat template of ${this.modelName} cannot be rendered: ${reason(error)}.`);
    }
  }
}

class RefusedByTemplate extends Error {}

const reason = (error: unknown): string =>
  (error instanceof Error ? error.message : String(error)).replace(/\s+/g, " ").replace(/\.$/, "").slice(0, 300);

/** Names of the same thing, as transformers fills them in for templates that know another one. */
const REASONING = ["reasoning_content", "thinking", "reasoning"] as const;

function withReasoning(message: ChatMessage): Record<string, unknown> {
  const fields = Object.fromEntries(Object.entries(message).filter(([, value]) => value !== undefined)) as Record<
    string,
    unknown
  >;
  const reasoning = REASONING.map((name) => fields[name]).find((value) => value !== undefined && value !== null);
  return reasoning === undefined ? fields : { thinking: reasoning, ...fields, reasoning_content: reasoning };
}

function range(start: number, stop: number | undefined, step: number): number[] {
  const [from, to] = stop === undefined ? [0, start] : [start, stop];
  if (step === 0) throw new Error("range() step must not be zero");
  return Array.from({ length: Math.max(0, Math.ceil((to - from) / step)) }, (_, i) => from + i * step);
}

const DAYS = ["Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"];
const MONTHS = [
  "January",
  "February",
  "March",
  "April",
  "May",
  "June",
  "July",
  "August",
  "September",
  "October",
  "November",
  "December",
];

/** Python's strftime in the C locale; what is no directive stays as it is. */
export function strftime(date: Date, format: string): string {
  const pad = (n: number, width = 2, fill = "0"): string => String(n).padStart(width, fill);
  const [hours, day, month, year] = [date.getHours(), date.getDate(), date.getMonth(), date.getFullYear()];
  const hours12 = hours % 12 === 0 ? 12 : hours % 12;
  const dayOfYear = Math.round((Date.UTC(year, month, day) - Date.UTC(year, 0, 1)) / 86_400_000) + 1;
  // Weeks begin with their first Sunday (0) or Monday (1).
  const week = (first: number): number => Math.floor((dayOfYear + 6 - ((date.getDay() - first + 7) % 7)) / 7);
  const directives: Readonly<Record<string, () => string>> = {
    a: () => DAYS[date.getDay()].slice(0, 3),
    A: () => DAYS[date.getDay()],
    b: () => MONTHS[month].slice(0, 3),
    B: () => MONTHS[month],
    c: () => strftime(date, "%a %b %e %H:%M:%S %Y"),
    C: () => pad(Math.floor(year / 100)),
    d: () => pad(day),
    D: () => strftime(date, "%m/%d/%y"),
    e: () => pad(day, 2, " "),
    f: () => pad(date.getMilliseconds() * 1000, 6),
    F: () => strftime(date, "%Y-%m-%d"),
    h: () => MONTHS[month].slice(0, 3),
    H: () => pad(hours),
    I: () => pad(hours12),
    j: () => pad(dayOfYear, 3),
    m: () => pad(month + 1),
    M: () => pad(date.getMinutes()),
    n: () => "\n",
    p: () => (hours < 12 ? "AM" : "PM"),
    R: () => strftime(date, "%H:%M"),
    s: () => String(Math.floor(date.getTime() / 1000)),
    S: () => pad(date.getSeconds()),
    t: () => "\t",
    T: () => strftime(date, "%H:%M:%S"),
    u: () => String(date.getDay() === 0 ? 7 : date.getDay()),
    U: () => pad(week(0)),
    w: () => String(date.getDay()),
    W: () => pad(week(1)),
    x: () => strftime(date, "%m/%d/%y"),
    X: () => strftime(date, "%H:%M:%S"),
    y: () => pad(year % 100),
    Y: () => String(year),
    z: () => "",
    Z: () => "",
    "%": () => "%",
  };
  return format.replace(/%(-?)([a-zA-Z%])/g, (whole, bare: string, letter: string) => {
    if (!Object.hasOwn(directives, letter)) return whole;
    const value = directives[letter]();
    return bare === "" ? value : value.replace(/^[0 ]+(?=.)/, "");
  });
}

/** Stands for the content of message i: nothing that a template would look for or change. */
const marker = (i: number): string => `content${String.fromCharCode(0xe000 + (i % 0x1000))}${i}\ue000`;

/**
 * Where each message is. Contents are found by rendering the conversation once more with markers in their place, the
 * borders between messages by rendering its beginnings: what two messages of the template have between them belongs to
 * the earlier one as far as it is there without the later one.
 */
function turnsOf(
  template: ChatTemplate,
  messages: readonly ChatMessage[],
  text: string,
  addGenerationPrompt: boolean,
): readonly TextTurn[] {
  const attempt = (some: readonly ChatMessage[], prompt: boolean): string | undefined => {
    try {
      return template.render(some, prompt);
    } catch {
      // Templates refuse beginnings that no conversation has.
      return undefined;
    }
  };
  const marked = messages.map((message, i) =>
    typeof message.content === "string" && message.content.trim() !== "" ? { ...message, content: marker(i) } : message,
  );
  const places = contentPlaces(attempt(marked, addGenerationPrompt), messages, text);
  const borders: number[] = [];
  for (let n = 1; n <= messages.length; n++) {
    const before = borders[n - 2] ?? 0;
    const own = places?.[n - 1];
    const next = places?.slice(n).find((place) => place !== undefined);
    const beginning = attempt(messages.slice(0, n), false);
    let border = beginning === undefined ? 0 : commonPrefix(beginning, text);
    // A beginning that goes another way before the message's end says nothing.
    if (own && border < own.to) border = own.to;
    if (next && border > next.from) border = own ? own.to : before;
    borders.push(Math.max(border, before));
  }
  const turns: TextTurn[] = messages.map(({ role }, i) => {
    const [from, place] = [borders[i - 1] ?? 0, places?.[i]];
    const inside = place && place.from >= from && place.to <= borders[i];
    return { role, from, to: borders[i], ...(inside && { contentFrom: place.from, contentTo: place.to }) };
  });
  const end = borders[borders.length - 1];
  if (end === text.length) return turns;
  if (addGenerationPrompt) return [...turns, { role: "assistant", from: end, to: text.length }];
  const last = turns[turns.length - 1];
  return [...turns.slice(0, -1), { ...last, to: text.length }];
}

interface Place {
  readonly from: number;
  readonly to: number;
}

/**
 * Where the contents are in a text, by the same text with markers in their place; undefined where a template does more
 * with them than to trim them.
 */
function contentPlaces(
  skeleton: string | undefined,
  messages: readonly ChatMessage[],
  text: string,
): readonly (Place | undefined)[] | undefined {
  if (skeleton === undefined) return undefined;
  const places: (Place | undefined)[] = [];
  let [at, from] = [0, 0];
  for (const [i, { content }] of messages.entries()) {
    const mark = skeleton.indexOf(marker(i), from);
    if (mark < 0 || typeof content !== "string") {
      places.push(undefined);
      continue;
    }
    const added = skeleton.slice(from, mark);
    if (!text.startsWith(added, at)) return undefined;
    at += added.length;
    from = mark + marker(i).length;
    const shown = [content, content.trim(), content.trimStart(), content.trimEnd()].find((kind) =>
      text.startsWith(kind, at) ? followedBy(skeleton, from, text, at + kind.length) : false,
    );
    if (shown === undefined) return undefined;
    places.push({ from: at, to: at + shown.length });
    at += shown.length;
  }
  return text.slice(at) === skeleton.slice(from) ? places : undefined;
}

/** Whether the text goes on as the skeleton does up to its next marker. */
function followedBy(skeleton: string, from: number, text: string, at: number): boolean {
  const next = /content[\ue000-\uf8ff]\d+\ue000/.exec(skeleton.slice(from));
  return text.startsWith(next === null ? skeleton.slice(from) : skeleton.slice(from, from + next.index), at);
}

function commonPrefix(a: string, b: string): number {
  let n = 0;
  while (n < a.length && n < b.length && a[n] === b[n]) n++;
  return n;
}

/**
 * `run.generate` and `run.stream` as cells have them: an answer shows below the cell as it comes, and an interrupt ends
 * it within one token and keeps what is there.
 */
import { commHost, type CommHost } from "../jupyter/comm-host";
import type { GeneratedToken, GenerateOptions, TransparentModel } from "../model/types";
import { BaseRun } from "../runtime/base-run";
import type { Generated } from "../runtime/generate";
import { follow } from "../signals";

/** Most tokens that one character is made of. */
const LONGEST_CHARACTER = 4;

const { generate, stream } = BaseRun.prototype;

BaseRun.prototype.generate = async function <R extends BaseRun>(
  this: R,
  options: GenerateOptions = {},
): Promise<R & Generated> {
  const host = commHost();
  // What comes out of a widget is the widget's to show.
  if (options.onToken !== undefined || host.cell?.executionCount === undefined)
    return generate.call(this, options) as Promise<R & Generated>;
  const text = new ShownText(this.model, host);
  try {
    return (await generate.call(this, { ...options, onToken: (token) => text.add(token) })) as R & Generated;
  } finally {
    text.end();
  }
};

BaseRun.prototype.stream = async function* <R extends BaseRun>(
  this: R,
  options: GenerateOptions = {},
): AsyncGenerator<GeneratedToken, R & Generated, undefined> {
  const { cell } = commHost();
  const { signal, release } = follow(options.signal, cell?.signal);
  let over = (): void => undefined;
  cell?.finishing?.(new Promise<void>((resolve) => (over = resolve)));
  try {
    return (yield* stream.call(this, { ...options, signal })) as R & Generated;
  } finally {
    release();
    over();
  }
};

/** Text below a cell, token by token; characters that several tokens make together come whole. */
class ShownText {
  #pending: number[] = [];
  #some = false;

  constructor(
    private readonly model: TransparentModel,
    private readonly host: CommHost,
  ) {}

  add({ id }: GeneratedToken): void {
    this.#pending.push(id);
    const text = this.#text();
    if (!/<0x[0-9A-F]{2}>$/.test(text) || this.#pending.length >= LONGEST_CHARACTER) this.#write(text);
  }

  end(): void {
    this.#write(this.#text());
    if (this.#some) this.host.stream("stdout", "\n");
  }

  #text(): string {
    const { model } = this;
    return model.decode?.(this.#pending) ?? this.#pending.map((id) => model.token(id).text).join("");
  }

  #write(text: string): void {
    this.#pending = [];
    if (text === "") return;
    this.#some = true;
    this.host.stream("stdout", text);
  }
}

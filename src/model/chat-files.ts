/** What a model's files say of conversations: templates, special tokens, and what ends an answer. */
import { readdir } from "node:fs/promises";
import { basename, join } from "node:path";
import type { ChatFormat } from "./chat";
import { ModelFileError } from "./errors";
import { namesIn, readJson, readText } from "./folder";
import type { GgufMetadata } from "./gguf-metadata";
import { isRecord } from "./tokenizer-fields";

const ROLES = ["bos_token", "eos_token", "unk_token", "sep_token", "pad_token", "cls_token", "mask_token"] as const;

/** Of a folder in the hub's layout, in transformers' order: files of templates, then tokenizer_config.json. */
export async function folderChat(folder: string): Promise<ChatFormat> {
  const names = new Set(await namesIn(folder));
  const json = async (name: string): Promise<Readonly<Record<string, unknown>>> => {
    const value = names.has(name) ? await readJson(join(folder, name)) : {};
    return isRecord(value) ? value : {};
  };
  let unreadable: Error | undefined;
  /** Of files that only conversations and answers need: a damaged one is told when one of those is asked for. */
  const optional = (name: string): Promise<Readonly<Record<string, unknown>>> =>
    json(name).catch((error: unknown) => {
      unreadable ??= error as Error;
      return {};
    });
  const config = await json("tokenizer_config.json");
  const map = await json("special_tokens_map.json");
  const templates = new Map<string, string>();
  if (names.has("chat_template.jinja")) templates.set("default", await readText(join(folder, "chat_template.jinja")));
  if (names.has("additional_chat_templates")) {
    const inner = join(folder, "additional_chat_templates");
    for (const name of (await readdir(inner).catch(() => [])).sort())
      if (name.endsWith(".jinja")) templates.set(basename(name, ".jinja"), await readText(join(inner, name)));
  }
  if (templates.size === 0)
    addTemplates(templates, config.chat_template, `${join(folder, "tokenizer_config.json")}: chat_template`);
  if (templates.size === 0)
    addTemplates(
      templates,
      (await optional("chat_template.json")).chat_template,
      `${join(folder, "chat_template.json")}: chat_template`,
    );
  const specialTokens: Record<string, string> = {};
  for (const role of ROLES) {
    const value = config[role] ?? map[role];
    const content = isRecord(value) ? value.content : value;
    if (typeof content === "string") specialTokens[role] = content;
  }
  const ends = (await optional("generation_config.json")).eos_token_id ?? (await json("config.json")).eos_token_id;
  return {
    origin: folder,
    templates,
    specialTokens,
    endIds: idsOf(ends),
    ...(unreadable ? { unreadable } : {}),
  };
}

/** Of a GGUF file's metadata. */
export function ggufChat(metadata: GgufMetadata): ChatFormat {
  const templates = new Map<string, string>();
  const text = (key: string): string | undefined => {
    const value = metadata.raw(key);
    return typeof value === "string" ? value : undefined;
  };
  const names = metadata.raw("tokenizer.chat_templates");
  for (const name of Array.isArray(names) ? names : []) {
    const template = typeof name === "string" ? text(`tokenizer.chat_template.${name}`) : undefined;
    if (template !== undefined) templates.set(name as string, template);
  }
  const single = text("tokenizer.chat_template");
  if (single !== undefined) templates.set("default", single);
  const tokens = metadata.raw("tokenizer.ggml.tokens");
  const id = (key: string): number | undefined => {
    const value = metadata.raw(`tokenizer.ggml.${key}_token_id`);
    return typeof value === "number" || typeof value === "bigint" ? Number(value) : undefined;
  };
  const specialTokens: Record<string, string> = {};
  for (const [role, key] of [
    ["bos_token", "bos"],
    ["eos_token", "eos"],
    ["unk_token", "unknown"],
    ["pad_token", "padding"],
  ]) {
    const found = id(key);
    const content: unknown = found !== undefined && Array.isArray(tokens) ? tokens[found] : undefined;
    if (typeof content === "string") specialTokens[role] = content;
  }
  const ends = ["eos", "eot", "eom"].map(id).filter((value) => value !== undefined);
  return { origin: metadata.origin, templates, specialTokens, endIds: [...new Set(ends)] };
}

/** A template, or a list of named ones. */
function addTemplates(templates: Map<string, string>, value: unknown, what: string): void {
  if (value === undefined || value === null) return;
  if (typeof value === "string") templates.set("default", value);
  else if (
    Array.isArray(value) &&
    value.every((item) => isRecord(item) && typeof item.name === "string" && typeof item.template === "string")
  )
    for (const { name, template } of value as { name: string; template: string }[]) templates.set(name, template);
  else throw new ModelFileError(`${what} must be a text, or a list of templates with "name" and "template".`);
}

function idsOf(value: unknown): number[] {
  const all = Array.isArray(value) ? (value as unknown[]) : [value];
  return all.filter((id): id is number => Number.isInteger(id));
}

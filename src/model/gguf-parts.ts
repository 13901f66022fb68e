/** Models that llama.cpp's `llama-gguf-split` cut into files: `model-00001-of-00003.gguf` and so on. */

const PART = /^(.*)-(\d{5})-of-(\d{5})(\.gguf)$/i;

/** All files of the model that `path` is a part of, in order; undefined where its name is not that of a part. */
export function partsOf(path: string): readonly string[] | undefined {
  const [, stem, number, total, ending] = PART.exec(path) ?? [];
  const count = Number(total);
  if (total === undefined || count < 2 || Number(number) < 1 || Number(number) > count) return undefined;
  return Array.from({ length: count }, (_, i) => `${stem}-${String(i + 1).padStart(5, "0")}-of-${total}${ending}`);
}

/** The names that stand for a whole model: later parts go, and first parts of which others are not there. */
export function withoutParts(names: Iterable<string>): string[] {
  const all = new Set(names);
  return [...all].filter((name) => {
    const parts = partsOf(name);
    return parts === undefined || (parts[0] === name && parts.every((part) => all.has(part)));
  });
}

/**
 * What names a model on the hub: `org/name`, addresses pasted from a browser, `org/name:Q4_K_M`; and which names may
 * become paths.
 */
import { ModelFileError, list } from "./errors";
import { withoutParts } from "./gguf-parts";

/**
 * What a source names on the hub: `id`, `id@revision`, `id:quantisation`, `org/name/file.gguf`,
 * `org/name/file.gguf@revision`.
 */
export interface HubName {
  readonly id: string;
  readonly revision?: string;
  /** A GGUF file inside the repository. */
  readonly file?: string;
  /** The quantisation of the GGUF file that is meant, as in `Q4_K_M`; upper and lower case are the same. */
  readonly quantisation?: string;
}

const NAME =
  /^([\w][\w.-]*(?:\/[\w][\w.-]*)?)((?:\/[\w.-]+)*\/[\w.-]+\.gguf)?(?::([\w][\w.-]*))?(?:@([\w][\w./+-]*))?$/;
/** Beside HF_ENDPOINT's: what is pasted from the hub's own pages is asked for at the endpoint. */
const HOSTS: readonly string[] = ["huggingface.co", "www.huggingface.co", "hf.co", "www.hf.co"];

/**
 * Reads a source as a name on the hub; undefined where it cannot be one (paths, blanks, more than two parts). An
 * address that is on the hub, but names no model that can be opened, throws a `ModelFileError` that says what would.
 */
export function parseHubName(source: string, endpoint = "https://huggingface.co"): HubName | undefined {
  const text = source.trim();
  if (text.length > 2000) return undefined;
  const address = asAddress(text, endpoint);
  return address === undefined ? plainName(text) : addressName(text, address, endpoint);
}

function plainName(text: string): HubName | undefined {
  const match = NAME.exec(text);
  if (match === null) return undefined;
  const [, id, path, tag, revision] = match;
  const file = path?.slice(1) ?? (tag !== undefined && /\.gguf$/i.test(tag) ? tag : undefined);
  if (!isRepository(id) || (path !== undefined && tag !== undefined)) return undefined;
  if (
    (file !== undefined && unsafePath(file) !== undefined) ||
    (revision !== undefined && unsafeRevision(revision) !== undefined)
  )
    return undefined;
  // Ollama's word for "whatever you have".
  const quantisation = file === undefined && tag?.toLowerCase() !== "latest" ? tag : undefined;
  return { id, ...(revision && { revision }), ...(file && { file }), ...(quantisation && { quantisation }) };
}

function isRepository(id: string): boolean {
  return (
    /^[\w][\w.-]*(?:\/[\w][\w.-]*)?$/.test(id) &&
    !/\.(gguf|safetensors|json|bin)$/.test(id) &&
    !id.includes("..") &&
    id.length <= 96 &&
    id.split("/").every((part) => !isReserved(part))
  );
}

/** An address, also where the scheme was left out. */
function asAddress(text: string, endpoint: string): URL | undefined {
  const own = hostOf(endpoint);
  const bare = text.split("/")[0].toLowerCase();
  const spelled = /^https?:\/\//i.test(text)
    ? text
    : text.includes("/") && (HOSTS.includes(bare) || bare === own)
      ? `https://${text}`
      : undefined;
  if (/^hf:\/\//i.test(text)) return asAddress(`https://huggingface.co/${text.slice(5)}`, endpoint);
  if (spelled === undefined || !URL.canParse(spelled)) return undefined;
  return new URL(spelled);
}

function hostOf(address: string): string | undefined {
  return URL.canParse(address) ? new URL(address).host : undefined;
}

/** First parts of the hub's addresses that are no accounts. */
const PLACES: Readonly<Record<string, string>> = {
  datasets: "a data set",
  spaces: "a space",
  buckets: "a bucket",
  collections: "a collection",
  papers: "a paper",
  docs: "a page of the documentation",
  blog: "a page of the blog",
  models: "a list of models",
  tasks: "a list of models",
  settings: "a page of your account",
};
/** What follows a model's name in addresses of its pages. */
const VIEWS: ReadonlySet<string> = new Set([
  "tree",
  "blob",
  "resolve",
  "raw",
  "commit",
  "commits",
  "blame",
  "edit",
  "discussions",
]);

function addressName(text: string, url: URL, endpoint: string): HubName {
  const refuse = (what: string): ModelFileError => new ModelFileError(`"${shown(text)}" ${what}`);
  const own = URL.canParse(endpoint) ? new URL(endpoint) : undefined;
  if (!HOSTS.includes(url.host) && url.host !== own?.host) {
    throw refuse(
      `is not at ${endpoint}: give the model's name (org/name), or set HF_ENDPOINT to ${url.protocol}//${url.host} if that is a hub.`,
    );
  }
  const prefix = url.host === own?.host ? own.pathname.replace(/\/+$/, "") : "";
  const path = url.pathname.startsWith(`${prefix}/`) ? url.pathname.slice(prefix.length) : url.pathname;
  let parts: string[];
  try {
    parts = path
      .split("/")
      .filter((part) => part !== "")
      .map(decodeURIComponent);
  } catch {
    throw refuse(
      "has a % that is no part of an escaped character; copy the address again, or give the model's name (org/name).",
    );
  }
  if (parts[0] === "api" && parts[1] === "models") parts.splice(0, 2);
  if (parts.length === 0) throw refuse("names no model; an address such as https://huggingface.co/org/name does.");
  if (Object.hasOwn(PLACES, parts[0]))
    throw refuse(`is ${PLACES[parts[0]]}, not a model; an address such as https://huggingface.co/org/name is one.`);

  // gpt2 and its like have no account before their name.
  const own1 = parts.length === 1 || (VIEWS.has(parts[1]) && parts.length > 2);
  const [head, tail] = own1 ? [parts.slice(0, 1), parts.slice(1)] : [parts.slice(0, 2), parts.slice(2)];
  const name = plainName(head.join("/"));
  if (name === undefined || name.file !== undefined)
    throw refuse("names no model; an address such as https://huggingface.co/org/name does.");
  const [view, ...rest] = tail;
  if (view === undefined) {
    const chosen = url.searchParams.get("show_file_info");
    return chosen !== null && /\.gguf$/i.test(chosen) ? withFile(name, chosen, refuse) : name;
  }
  if (!VIEWS.has(view)) {
    const file = tail.join("/");
    if (/\.gguf(@.*)?$/i.test(file)) return withFile(name, file, refuse);
    throw refuse(`names no model; "${name.id}" is one.`);
  }
  if (view === "discussions" || rest.length === 0) return name;
  const length = rest[0] === "refs" && rest.length > 2 ? 3 : 1;
  const revision = rest.slice(0, length).join("/");
  const file = rest.slice(length).join("/");
  const wrong = unsafeRevision(revision);
  if (wrong !== undefined) throw refuse(`names the revision "${shown(revision)}", which ${wrong}.`);
  const whole: HubName = revision === "main" ? name : { ...name, revision };
  if (file === "") return whole;
  if (/\.gguf$/i.test(file)) return withFile(whole, file, refuse);
  if (view === "tree")
    throw refuse(
      `names a folder inside of "${name.id}"; models are opened as a whole ("${name.id}") or by one GGUF file ("${name.id}/${shown(file)}/FILE.gguf").`,
    );
  // Parts of a model in the hub's layout stand for the whole.
  if (
    /^(README\.md|config\.json|generation_config\.json|tokenizer[\w.]*|special_tokens_map\.json|vocab\.json|merges\.txt|model\.safetensors|model\.safetensors\.index\.json|model-\d{5}-of-\d{5}\.safetensors)$/.test(
      file,
    )
  )
    return whole;
  throw refuse(
    `names one file of "${name.id}"; a GGUF file can be opened by itself, other models as a whole: "${name.id}${revision === "main" ? "" : `@${shown(revision)}`}".`,
  );
}

function withFile(name: HubName, file: string, refuse: (what: string) => ModelFileError): HubName {
  const wrong = unsafePath(file);
  if (wrong !== undefined) throw refuse(`names the file "${shown(file)}", which ${wrong}.`);
  return { ...name, file };
}

/** Names that Windows keeps for devices, whatever follows a dot. */
function isReserved(part: string): boolean {
  return /^(con|prn|aux|nul|com[0-9¹²³]|lpt[0-9¹²³]|conin\$|conout\$)(\.|$)/i.test(part);
}

/**
 * True for names that lead out of a folder on some system: climbing, absolute, with a drive, cut by a NUL. Decent
 * repositories have none.
 */
export function climbs(path: string): boolean {
  return (
    /[\0-\x1f\x7f]/.test(path) ||
    /^([/\\]|[A-Za-z]:)/.test(path) ||
    path.split(/[/\\]/).some((part) => /^\.\.[. ]*$/.test(part))
  );
}

/**
 * Why a path of a repository is not written to a disk; undefined where it may be. The same on every system, because
 * caches travel.
 */
export function unsafePath(path: string): string | undefined {
  if (climbs(path)) return "leads out of its folder";
  if (path.length > 1000 || path.split("/").some((part) => Buffer.byteLength(part) > 200)) return "is too long";
  if (/[\\:*?"<>|]/.test(path)) return "has a character that not every system allows";
  for (const part of path.split("/")) {
    if (part === "" || part === ".") return "has an empty part";
    if (/[. ]$/.test(part)) return "has a part that ends in a dot or a blank";
    if (isReserved(part)) return `has the part "${part}", which Windows keeps for a device`;
  }
  return undefined;
}

/** Why a revision is none: git's rules, and those of paths, because it is the name of a file in refs/. */
export function unsafeRevision(revision: string): string | undefined {
  if (
    revision.includes("..") ||
    /@\{|[~^[]/.test(revision) ||
    revision.split("/").some((part) => part.startsWith(".") || part.endsWith(".lock"))
  )
    return "has what no branch, tag or commit can have in its name";
  return unsafePath(revision);
}

/** A text of a server or a user as it may stand in a sentence: one line, not too long. */
export function shown(text: string, length = 200): string {
  const line = text.replace(
    /[\0-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]/g,
    (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, "0")}`,
  );
  return line.length > length ? `${line.slice(0, length)}…` : line;
}

/**
 * The quantisation that a GGUF file has in its name (`model-Q4_K_M.gguf`, `model.IQ2_XXS.gguf`,
 * `model-UD-Q4_K_XL.gguf`), in upper case.
 */
export function quantisationOf(path: string): string | undefined {
  const stem = (path.split("/").pop() ?? "").replace(/\.gguf$/i, "").replace(/-\d{5}-of-\d{5}$/, "");
  const found = [
    ...stem.matchAll(/(?<=^|[-._])((?:UD-)?I?Q\d(?:_[A-Z0-9]+)*|TQ\d_\d|BF16|FP?16|FP?32|MXFP4(?:_MOE)?)(?=$|[-._])/gi),
  ]
    .pop()?.[1]
    .toUpperCase();
  return found?.replace(/^FP/, "F");
}

/**
 * The GGUF file of a quantisation among a repository's files, of a split one the first part. Projectors of images are
 * no models. Throws a `ModelFileError` with what there is instead.
 */
export function chooseQuantisation(id: string, quantisation: string, paths: Iterable<string>): string {
  const all = [...paths]
    .filter((path) => /\.gguf$/i.test(path) && !/(^|\/)(mmproj|imatrix)|(^|[-._])(mmproj|imatrix)[-._]/i.test(path))
    .sort();
  if (all.length === 0)
    throw new ModelFileError(
      `"${id}" has no GGUF files, so that the quantisation "${quantisation}" cannot be chosen; leave it out to open what it has.`,
    );
  const asked = quantisation.toUpperCase().replace(/^FP(?=\d)/, "F");
  const named = all.filter((path) => quantisationOf(path) === asked);
  // UD- tells how the bits were spread, not which they are; a tag may also be a piece of the name that is no known
  // quantisation.
  const near = named.length > 0 ? named : all.filter((path) => quantisationOf(path)?.replace(/^UD-/, "") === asked);
  const found =
    near.length > 0
      ? near
      : all.filter((path) =>
          path
            .toUpperCase()
            .replace(/\.GGUF$/, "")
            .split(/[/.-]/)
            .includes(asked),
        );
  const whole = withoutParts(found);
  if (whole.length === 1) return whole[0];
  // The same file may lie in the root and in a folder for one tool or another.
  const root = whole.filter((path) => !path.includes("/"));
  if (root.length === 1) return root[0];
  if (whole.length > 1)
    throw new ModelFileError(
      `"${id}" has ${whole.length} GGUF files with the quantisation "${quantisation}": name one of ${several(whole, "or")}, as "${id}/${whole[0]}".`,
    );
  if (found.length > 0)
    throw new ModelFileError(
      `The quantisation "${quantisation}" of "${id}" is split into files that are not all there${elsewhere(withoutParts(all))}.`,
    );
  const there = kinds(withoutParts(all));
  throw new ModelFileError(
    `"${id}" has no GGUF file with the quantisation "${quantisation}"; ${there.length > 0 ? `it has ${several(there, "and")}` : `its GGUF files are ${several(all, "and")}`}.`,
  );
}

function kinds(paths: readonly string[]): string[] {
  return [...new Set(paths.map(quantisationOf).filter((kind) => kind !== undefined))].sort();
}

function elsewhere(whole: readonly string[]): string {
  const there = kinds(whole);
  return there.length === 0 ? "" : `: choose ${several(there, "or")}`;
}

/** A list that stays short enough for a sentence. */
export function several(names: readonly string[], word: "and" | "or"): string {
  const most = 30;
  return list(
    names.length <= most
      ? names.map((name) => shown(name))
      : [...names.slice(0, most).map((name) => shown(name)), `${names.length - most} more`],
    word,
  );
}

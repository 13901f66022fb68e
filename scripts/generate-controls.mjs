// Writes src/jupyter/ipywidgets/generated.ts from the published schema of the stock widgets (@jupyter-widgets/schema).
// Run after a new version of the schema: node scripts/generate-controls.mjs
import { readFileSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { fileURLToPath } from "node:url";

const require = createRequire(import.meta.url);
const version = require("@jupyter-widgets/schema/package.json").version;
const models = JSON.parse(
  readFileSync(require.resolve("@jupyter-widgets/schema/jupyterwidgetmodels.latest.json"), "utf8"),
);

/** Abstract in Python: no widget of its own. */
const ABSTRACT = new Set(["DOMWidgetModel"]);

/** Python's class names where they are not the model's name. */
const NAMES = { DatetimeModel: "DatetimePicker", NaiveDatetimeModel: "NaiveDatetimePicker", TimeModel: "TimePicker" };

/** Chosen from options: `value` and `options` live in the kernel, only labels and indices cross. */
const SELECTIONS = {
  DropdownModel: "one",
  RadioButtonsModel: "one",
  SelectModel: "one",
  SelectionSliderModel: "one",
  ToggleButtonsModel: "one",
  SelectMultipleModel: "many",
  SelectionRangeSliderModel: "range",
};

/** What the schema says only as "array". */
const ARRAYS = {
  "ColorsInputModel.allowed_tags": "strings",
  "ColorsInputModel.value": "strings",
  "TagsInputModel.allowed_tags": "strings",
  "TagsInputModel.value": "strings",
  "FloatsInputModel.allowed_tags": "floats",
  "FloatsInputModel.value": "floats",
  "IntsInputModel.allowed_tags": "ints",
  "IntsInputModel.value": "ints",
  "FloatRangeSliderModel.value": "floatRange",
  "IntRangeSliderModel.value": "intRange",
  "SelectionRangeSliderModel.index": "intRange",
  "LinkModel.source": "end",
  "LinkModel.target": "end",
  "DirectionalLinkModel.source": "end",
  "DirectionalLinkModel.target": "end",
  "FileUploadModel.value": "files",
  "OutputModel.outputs": "outputs",
};

/** Defaults that Python computes when a widget is made, which the schema cannot say. */
const COMPUTED = {
  "FileUploadModel.description": "Upload",
  "FloatRangeSliderModel.value": [25, 75],
  "IntRangeSliderModel.value": [25, 75],
};

/** Custom messages that a front end sends, as events. */
const EVENTS = {
  ButtonModel: "ClickEvents",
  TextModel: "SubmitEvents",
  PasswordModel: "SubmitEvents",
  ComboboxModel: "SubmitEvents",
};

/** What the schema has no words for. */
const HELP = {
  layout: "CSS of the box around it.",
  style: "Colours and sizes of its parts.",
  min: "The smallest value.",
  max: "The largest value.",
  value: "What the user has chosen or typed.",
  placeholder: "Shown while it is empty.",
  allowed_tags: "Tags that can be chosen; empty: any.",
  allow_duplicates: "Whether a tag can be there twice.",
  format: "How numbers are written, by d3-format.",
};

const TYPES = {
  string: "string",
  bool: "boolean",
  int: "number",
  float: "number",
  strings: "readonly string[]",
  ints: "readonly number[]",
  floats: "readonly number[]",
  intRange: "readonly [number, number]",
  floatRange: "readonly [number, number]",
  widgets: "readonly RegisteredWidget[]",
  end: "LinkEnd",
  files: "readonly UploadedFile[]",
  outputs: "readonly CellOutput[]",
  bytes: "Uint8Array",
  Date: "Date",
  Datetime: "Date",
  Time: "TimeOfDay",
  intOrAny: 'number | "any"',
  floatOrAny: 'number | "any"',
};

const className = (model) => NAMES[model] ?? model.replace(/Model$/, "");

function kindOf(model, attribute) {
  const named = ARRAYS[`${model}.${attribute.name}`];
  if (named !== undefined) return named;
  const { type, items } = attribute;
  if (Array.isArray(type)) return `${type[0]}OrAny`;
  if (type === "reference") return "widget";
  if (type === "array") {
    if (items?.type === "string") return "strings";
    if (items?.type === "int") return "ints";
    if (items?.type === "reference") return "widgets";
    throw new Error(`${model}.${attribute.name}: the schema does not say what the array holds; add it to ARRAYS.`);
  }
  if (TYPES[type] === undefined) throw new Error(`${model}.${attribute.name}: unknown type ${JSON.stringify(type)}.`);
  return type;
}

function typeOf(attribute, kind) {
  if (kind === "widget") return attribute.widget;
  if (kind === "widgets" && ["Axis", "Button"].includes(attribute.items.widget))
    return `readonly Controller${attribute.items.widget}[]`;
  const type =
    attribute.enum === undefined ? TYPES[kind] : attribute.enum.map((value) => JSON.stringify(value)).join(" | ");
  return attribute.allow_none ? `${type} | null` : type;
}

function defaultOf(model, attribute, kind) {
  const computed = COMPUTED[`${model}.${attribute.name}`];
  if (computed !== undefined) return JSON.stringify(computed);
  if (kind === "widget") return `() => new ${attribute.widget}()`;
  if (kind === "bytes") return "() => new Uint8Array(0)";
  return JSON.stringify(attribute.default);
}

const oneLine = (text) => text.replace(/\s+/g, " ").replaceAll("*/", "* /").trim();

function generate() {
  const out = [];
  for (const { model, view, attributes } of models) {
    if (ABSTRACT.has(model.name)) continue;
    const name = className(model.name);
    const selection = SELECTIONS[model.name];
    const own = attributes.filter((attribute) => !/^_(model|view)_/.test(attribute.name));
    const described = own.map((attribute) => ({ attribute, kind: kindOf(model.name, attribute) }));

    out.push(`/** State of ${name} (${model.module} ${model.version}). */`, `export interface ${name}State {`);
    for (const { attribute, kind } of described) {
      const help = oneLine(attribute.help ?? "") || HELP[attribute.name];
      if (help === undefined)
        throw new Error(`${model.name}.${attribute.name}: the schema has no help; add it to HELP.`);
      out.push(`  /** ${help} */`);
      out.push(`  ${attribute.name}: ${typeOf(attribute, kind)};`);
    }
    out.push("  /** How many views show it; null: not counted. */", "  _view_count: number | null;", "}", "");

    const type =
      selection === undefined
        ? "defineControl"
        : `define${{ one: "Selection", many: "MultipleSelection", range: "RangeSelection" }[selection]}`;
    const generics = `${name}State${EVENTS[model.name] === undefined ? "" : `, ${EVENTS[model.name]}`}`;
    const said = `/** Stock control ${name} (${model.module} ${model.version}); its state is {@link ${name}State}. */`;
    out.push(
      said,
      `export const ${name} = ${type}<${generics}>({`,
      `  name: ${JSON.stringify(name)},`,
      `  modelName: ${JSON.stringify(model.name)}, modelModule: ${JSON.stringify(model.module)}, modelModuleVersion: ${JSON.stringify(model.version)},`,
      `  viewName: ${JSON.stringify(view.name)}, viewModule: ${JSON.stringify(view.module)}, viewModuleVersion: ${JSON.stringify(view.version)},`,
      "  traits: {",
    );
    for (const { attribute, kind } of described) {
      const parts = [`kind: ${JSON.stringify(kind)}`, `default: ${defaultOf(model.name, attribute, kind)}`];
      if (attribute.allow_none) parts.push("nullable: true");
      if (attribute.enum !== undefined) parts.push(`oneOf: ${JSON.stringify(attribute.enum)}`);
      out.push(`    ${attribute.name}: { ${parts.join(", ")} },`);
    }
    out.push('    _view_count: { kind: "int", default: null, nullable: true },', "  },", "});");
    out.push(said);
    if (selection === undefined) out.push(`export type ${name} = Control<${generics}>;`, "");
    else
      out.push(
        `export type ${name}<V = string> = ${{ one: "Selection", many: "MultipleSelection", range: "RangeSelection" }[selection]}<${name}State, V>;`,
        "",
      );
  }
  const text = out.join("\n");
  const uses = (name) => new RegExp(`\\b${name}\\b`).test(text);
  const from = (path, names) => {
    const used = names.filter((name) => uses(name.replace("type ", "")));
    return used.length === 0 ? [] : [`import { ${used.join(", ")} } from ${JSON.stringify(path)};`];
  };
  return [
    `// Generated from @jupyter-widgets/schema ${version} by scripts/generate-controls.mjs. Do not edit.`,
    ...from("../comm-host", ["type CellOutput"]),
    ...from("./codecs", ["type TimeOfDay", "type UploadedFile"]),
    ...from("./control", ["defineControl", "type ClickEvents", "type Control", "type LinkEnd", "type SubmitEvents"]),
    ...from("./registry", ["type RegisteredWidget"]),
    ...from("./selection", [
      "defineMultipleSelection",
      "defineRangeSelection",
      "defineSelection",
      "type MultipleSelection",
      "type RangeSelection",
      "type Selection",
    ]),
    "",
    text,
  ].join("\n");
}

const target = fileURLToPath(new URL("../src/jupyter/ipywidgets/generated.ts", import.meta.url));
const text = generate();
if (process.argv.includes("--check")) {
  if (readFileSync(target, "utf8") !== text) {
    process.stderr.write(
      "src/jupyter/ipywidgets/generated.ts is not what the schema gives; run node scripts/generate-controls.mjs\n",
    );
    process.exit(1);
  }
} else {
  writeFileSync(target, text);
}

/**
 * `npm run notebooks`: runs the example notebooks without a front end and stores them with what came out, in a form
 * that diffs well: no ids that are random, no times, no widget state (pictures carry their own data). Names of
 * notebooks as arguments: only those.
 */
import { spawnSync } from "node:child_process";
import fs from "node:fs";
import path from "node:path";
import { fileURLToPath } from "node:url";
import { jupyterEnvironment, VENV_PYTHON, ROOT } from "./lib/install.mjs";

const WIDGET_VIEW = "application/vnd.jupyter.widget-view+json";
const PAYLOAD = "application/vnd.lm-transparency+json";

/** The notebook as it is stored. Pictures that shared a selection still do. */
export function normalised(notebook) {
  const copy = structuredClone(notebook);
  delete copy.metadata.widgets;
  if (copy.metadata.language_info) delete copy.metadata.language_info.version;
  const links = new Map();
  for (const cell of copy.cells) {
    delete cell.metadata.execution;
    // Controls and progress bars are nothing without their kernel, and how long something took is another time on every
    // day.
    const isWidget = ({ data }) =>
      data?.[WIDGET_VIEW] && Object.keys(data).every((type) => [WIDGET_VIEW, "text/plain"].includes(type));
    const isProgress = ({ output_type, data }) =>
      output_type === "display_data" &&
      Object.keys(data).join() === "text/plain" &&
      /, [\d.]+ s$/.test([data["text/plain"]].flat().join("").trim());
    if (cell.outputs) cell.outputs = cell.outputs.filter((output) => !isWidget(output) && !isProgress(output));
    if (cell.outputs) cell.outputs = joined(cell.outputs);
    for (const output of cell.outputs ?? []) {
      const payload = output.data?.[PAYLOAD];
      if (payload === undefined) continue;
      delete payload.widget;
      if (payload.link !== undefined) {
        if (!links.has(payload.link)) links.set(payload.link, `selection-${links.size + 1}`);
        payload.link = links.get(payload.link);
      }
    }
  }
  return copy;
}

/** Text of one stream in one piece, however it came. */
function joined(outputs) {
  const lines = (text) => text.match(/[^\n]*\n|[^\n]+$/g) ?? [];
  return outputs.reduce((all, output) => {
    const last = all.at(-1);
    if (output.output_type !== "stream" || last?.output_type !== "stream" || last.name !== output.name)
      return [...all, output];
    const text = [last.text, output.text].flat().join("");
    return [...all.slice(0, -1), { ...last, text: lines(text) }];
  }, []);
}

/** As nbformat writes it: one space, keys in order. */
export function written(notebook) {
  const sorted = (value) =>
    Array.isArray(value)
      ? value.map(sorted)
      : typeof value === "object" && value !== null
        ? Object.fromEntries(
            Object.keys(value)
              .sort()
              .map((key) => [key, sorted(value[key])]),
          )
        : value;
  return `${JSON.stringify(sorted(notebook), null, 1)}\n`;
}

function run(file) {
  const arguments_ = ["-m", "jupyter", "execute", path.basename(file), "--inplace"];
  const child = spawnSync(VENV_PYTHON, arguments_, {
    cwd: path.dirname(file),
    encoding: "utf8",
    env: jupyterEnvironment(),
  });
  if (child.status !== 0) throw new Error(`${path.basename(file)} does not run:\n${child.stdout}${child.stderr}`);
  fs.writeFileSync(file, written(normalised(JSON.parse(fs.readFileSync(file, "utf8")))));
}

if (process.argv[1] && fs.realpathSync(process.argv[1]) === fileURLToPath(import.meta.url)) {
  const folder = path.join(ROOT, "notebooks");
  const all = fs
    .readdirSync(folder)
    .filter((name) => name.endsWith(".ipynb"))
    .sort();
  const wanted = process.argv.slice(2);
  const wrong = wanted.find((name) => !all.includes(name));
  if (wrong !== undefined) {
    console.error(`notebooks: there is no notebooks/${wrong}; there are ${all.join(", ")}`);
    process.exit(2);
  }
  for (const name of wanted.length > 0 ? wanted : all) {
    const start = performance.now();
    run(path.join(folder, name));
    console.log(
      `${name}: ${Math.round(fs.statSync(path.join(folder, name)).size / 1000)} KB in ${((performance.now() - start) / 1000).toFixed(1)} s`,
    );
  }
}

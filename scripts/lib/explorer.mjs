/**
 * `npm start -- --config my.json`: a notebook of one cell that shows the Explorer, and the server's word that it may be
 * run.
 */
import fs from "node:fs";
import { createRequire } from "node:module";
import path from "node:path";
import { StepError } from "./steps.mjs";

const GENERATED = "lm_transparency_explorer";

/** Checks the file with the library that was just built. Throws a `StepError` with a sentence for every problem. */
export function checkConfig(root, file, cwd) {
  const { loadConfig } = createRequire(import.meta.url)(path.join(root, "dist", "config", "index.js"));
  try {
    loadConfig(file, { cwd });
  } catch (error) {
    if (error.name !== "ConfigError") throw error;
    throw new StepError(
      error.problems.length === 1
        ? `${error.where}: ${error.problems[0]}`
        : `${error.where} has ${error.problems.length} problems, which are below.`,
      {
        detail: error.problems.length === 1 ? undefined : error.problems.map((problem) => `  ${problem}`).join("\n"),
        exitCode: 2,
      },
    );
  }
}

/** True for a notebook that we wrote and nobody changed since, but for running it. */
function isOurs(file) {
  try {
    const notebook = JSON.parse(fs.readFileSync(file, "utf8"));
    return notebook.cells.length === 1 && [].concat(notebook.cells[0].source).join("") === notebook.metadata[GENERATED];
  } catch {
    return false;
  }
}

/**
 * Writes the notebook into `root/explorer` and returns its path relative to `root`. A notebook that was worked on is
 * left alone.
 */
export function writeExplorerNotebook(root, file, cwd) {
  const source = [
    'import { workbench, loadConfig } from "lm-transparency";',
    "",
    `workbench(loadConfig(${JSON.stringify(file)}, { cwd: ${JSON.stringify(cwd)} }))`,
  ].join("\n");
  const folder = path.join(root, "explorer");
  fs.mkdirSync(folder, { recursive: true });
  const stem =
    path
      .basename(file, ".json")
      .replace(/[^\p{L}\p{N}._ -]/gu, "_")
      .replace(/^\.+/, "") || "explorer";
  let name = `${stem}.ipynb`;
  for (let i = 2; fs.existsSync(path.join(folder, name)) && !isOurs(path.join(folder, name)); i++)
    name = `${stem}-${i}.ipynb`;
  const notebook = {
    nbformat: 4,
    nbformat_minor: 5,
    metadata: {
      kernelspec: { name: "lm-transparency", display_name: "TypeScript (lm-transparency)", language: "typescript" },
      [GENERATED]: source,
    },
    // The picture is what is looked at; the code is one click away.
    cells: [
      {
        cell_type: "code",
        id: "explorer",
        metadata: { jupyter: { source_hidden: true } },
        execution_count: null,
        outputs: [],
        source,
      },
    ],
  };
  fs.writeFileSync(path.join(folder, name), `${JSON.stringify(notebook, null, 1)}\n`);
  return path.join("explorer", name);
}

/**
 * A configuration folder for one server (JUPYTER_CONFIG_PATH) whose page tells our extension to run `notebook` when it
 * is open.
 */
export function runOnOpen(folder, notebook) {
  const labconfig = path.join(folder, "labconfig");
  fs.mkdirSync(labconfig, { recursive: true });
  fs.writeFileSync(
    path.join(labconfig, "page_config.json"),
    JSON.stringify({ lmTransparencyRun: notebook.split(path.sep).join("/") }),
  );
  return folder;
}

import { NotebookError, notebookPage } from "../export/notebook";
import { readTextFile } from "../system/read";
import { writeFileAtomically } from "../system/write";
import { parseOptionsAndFiles, UsageError, type Command } from "./command";
import { withoutMark } from "../model/text";

const USAGE = `lm-transparency export NOTEBOOK.ipynb [--output FILE|-]

Writes a notebook as one HTML file that needs nothing else: pictures stay interactive from the data stored in them, without a kernel and
without any request to anywhere. Nothing is run. Pictures of Markdown that do not lie in the notebook's folder are left out, and named.

  --output FILE        where to write it; - for standard output. Default: NOTEBOOK.html beside the notebook`;

/** `lm-transparency export`. */
export const exportCommand: Command = {
  name: "export",
  summary: "a notebook as one HTML file that stays interactive",
  usage: USAGE,
  endsAtOnce: true,
  async run(args, context) {
    const { values, files } = parseOptionsAndFiles(args, { output: { type: "string" } });
    if (files.length !== 1)
      throw new UsageError(
        files.length === 0
          ? "which notebook? Give the path of an .ipynb file"
          : `one notebook at a time, not ${files.length}`,
      );
    const [file] = files;
    const source = withoutMark(
      await readTextFile(file).catch((error: unknown) => {
        throw new NotebookError((error as Error).message);
      }),
    );
    const html = await notebookPage(source, file, {
      signal: context.signal,
      onLeftOut: ({ what, why }) => context.warn(`left out of the page: ${what}: ${why}.`),
    });
    if (values.output === "-") return context.write(html);
    const target = values.output ?? file.replace(/(\.ipynb)?$/i, ".html");
    await writeFileAtomically(target, html).catch((error: unknown) => {
      throw new NotebookError((error as Error).message);
    });
    await context.write(`${target}\n`);
  },
};

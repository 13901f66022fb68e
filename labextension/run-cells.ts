import type { JupyterFrontEnd, JupyterFrontEndPlugin } from "@jupyterlab/application";

/** As in `widgets/core/ask.ts`; repeated here so that a page without our outputs loads nothing of ours. */
const RUN_CELLS = "lmt-run-cells";
const COMMANDS = ["notebook:run-all-above", "notebook:run-cell"];

/**
 * A picture whose kernel is gone offers to run its cell and those above it. The click that asks for it lies in the
 * cell's output, so that the cell is the active one.
 */
export const runCells: JupyterFrontEndPlugin<void> = {
  id: "lm-transparency:run-cells",
  description: "Runs the cells of a picture that needs the kernel.",
  autoStart: true,
  activate: ({ commands }: JupyterFrontEnd) => {
    document.documentElement.dataset.lmtRuns = "";
    document.addEventListener(RUN_CELLS, () => {
      void (async () => {
        for (const command of COMMANDS) if (commands.hasCommand(command)) await commands.execute(command);
      })();
    });
  },
};

import { IJupyterWidgetRegistry } from "@jupyter-widgets/base";
import type { JupyterFrontEnd, JupyterFrontEndPlugin } from "@jupyterlab/application";
import { WIDGET_MODULE } from "../src/protocol";
import { keptClicks } from "./kept-clicks";
import { runCells } from "./run-cells";
import { runOnStart } from "./run-on-start";

declare const LMT_VERSION: string;

/** Makes our widgets known. Optional: without a widget manager the rest of the extension still works. */
const widgets: JupyterFrontEndPlugin<void> = {
  id: "lm-transparency:widgets",
  description: "Pictures of language models as widgets.",
  autoStart: true,
  optional: [IJupyterWidgetRegistry],
  activate: (_app: JupyterFrontEnd, registry: IJupyterWidgetRegistry | null) => {
    registry?.registerWidget({
      name: WIDGET_MODULE,
      version: LMT_VERSION,
      // Loaded when the first widget is shown, not with the page.
      exports: async () => import("../widgets/shells/jupyter"),
    });
  },
};

export default [widgets, runOnStart, keptClicks, runCells];

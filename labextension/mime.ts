import type { IRenderMime } from "@jupyterlab/rendermime-interfaces";
import { Widget } from "@lumino/widgets";
import type { StoredOutput } from "../widgets/shells/stored-output";

/** As in `src/payload/format.ts`; repeated here so that a page without our outputs loads nothing of ours. */
const MIME_TYPE = "application/vnd.lm-transparency+json";
/** Before text/html and before widget views, which outrank all else in trusted notebooks. */
const RANK = -20;

/** Draws an output from the data in it, and connects it to the live widget when there is one. */
class PayloadRenderer extends Widget implements IRenderMime.IRenderer {
  readonly #picture: Promise<StoredOutput>;

  constructor() {
    super();
    this.addClass("lm-transparency");
    // Loaded when the first output is shown, not with the page.
    this.#picture = import("../widgets/shells/stored-output").then(({ StoredOutput }) => new StoredOutput(this.node));
  }

  async renderModel(model: IRenderMime.IMimeModel): Promise<void> {
    const { [MIME_TYPE]: payload, "image/svg+xml": still } = model.data;
    const picture = await this.#picture;
    if (!this.isDisposed) await picture.show(payload, { trusted: model.trusted, still });
  }

  override dispose(): void {
    if (this.isDisposed) return;
    void this.#picture.then((picture) => picture.dispose());
    super.dispose();
  }
}

const extension: IRenderMime.IExtension = {
  id: "lm-transparency:outputs",
  description: "Pictures of language models from the data stored in their outputs.",
  rendererFactory: {
    // Nothing in a payload is ever run, so it may be drawn in notebooks that are not trusted.
    safe: true,
    mimeTypes: [MIME_TYPE],
    createRenderer: () => new PayloadRenderer(),
  },
  rank: RANK,
  dataType: "json",
};

export default extension;

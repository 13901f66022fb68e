import type { JupyterFrontEnd, JupyterFrontEndPlugin } from "@jupyterlab/application";

/** As in `src/payload/format.ts`; repeated here so that a page without our outputs loads nothing of ours. */
const MIME_TYPE = "application/vnd.lm-transparency+json";

/** What is used of a notebook's model. */
interface OutputModel {
  readonly data: Readonly<Record<string, unknown>>;
  toJSON(): Readonly<Record<string, unknown>>;
}

interface OutputList {
  readonly length: number;
  get(index: number): OutputModel;
  set(index: number, value: unknown): void;
}

interface Message {
  readonly header: { readonly msg_type: string };
  readonly content: { readonly data?: Readonly<Record<string, unknown>> };
}

type Listener = (sender: unknown, message: Message) => void;

interface NotebookPanel {
  readonly content: { readonly model: { readonly cells: Iterable<{ readonly outputs?: OutputList }> } | null };
}

interface Context {
  readonly sessionContext: {
    readonly iopubMessage: { connect(listener: Listener): boolean; disconnect(listener: Listener): boolean };
  };
}

interface Payload {
  readonly widget?: unknown;
  readonly data?: unknown;
}

const payloadOf = (data: Readonly<Record<string, unknown>> | undefined): Payload => data?.[MIME_TYPE] ?? {};

/** Puts an update into the outputs of the widget that it is for, wherever it has not arrived. */
function keep(panel: NotebookPanel, data: Readonly<Record<string, unknown>>): void {
  const { widget, data: stored } = payloadOf(data);
  if (typeof widget !== "string") return;
  for (const { outputs } of panel.content.model?.cells ?? []) {
    for (let i = 0; i < (outputs?.length ?? 0); i++) {
      const output = outputs!.get(i);
      const known = payloadOf(output.data);
      if (known.widget === widget && known.data !== stored) outputs!.set(i, { ...output.toJSON(), data });
    }
  }
}

/**
 * JupyterLab knows which output a display id belongs to only until the page is reloaded. The kernel goes on telling
 * what a picture has to keep after clicks; here it reaches the outputs that were made before the reload, by the
 * widget's id that is stored in them.
 */
export const keptClicks: JupyterFrontEndPlugin<void> = {
  id: "lm-transparency:kept-clicks",
  description: "Stores what was looked at in pictures of a page that was loaded again.",
  autoStart: true,
  activate: ({ docRegistry }: JupyterFrontEnd) => {
    docRegistry.addWidgetExtension("Notebook", {
      createNew: (widget, context) => {
        const panel = widget as unknown as NotebookPanel;
        const { iopubMessage } = (context as unknown as Context).sessionContext;
        let isDisposed = false;
        const listener: Listener = (_, { header, content }) => {
          const { data } = content;
          // JupyterLab, which knows more of the outputs it saw being made, comes first.
          if (header.msg_type === "update_display_data" && data?.[MIME_TYPE])
            setTimeout(() => isDisposed || keep(panel, data));
        };
        iopubMessage.connect(listener);
        return {
          get isDisposed() {
            return isDisposed;
          },
          dispose: () => {
            isDisposed = true;
            iopubMessage.disconnect(listener);
          },
        };
      },
    });
  },
};

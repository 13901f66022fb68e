import { keepKeys } from "./keys";
import { DOMWidgetModel, DOMWidgetView, unpack_models, WidgetModel } from "@jupyter-widgets/base";
import type { ISerializers } from "@jupyter-widgets/base";
import type { Choice, ControlChoices, ControlCurrent, ControlStatus } from "../../src/protocol";
import {
  CHOOSE,
  choosePayload,
  datasetPayload,
  initialSelection,
  OPEN_DATASET,
  ProtocolError,
  readChoices,
  readCurrent,
  readResponse,
  readStatus,
  responseError,
  STOP,
} from "../../src/protocol";
import type { ControlElement, Controls } from "../core/controls";
import { SelectionStore, writerName } from "../core/selection-store";
import type { CachedSource } from "../core/source";
import "../elements";
import type { PictureModel, SelectionModel } from "./jupyter";
import type { LiveElement } from "./live";
import { namesOf, ShownModel } from "./models";
import { sentenceElement } from "./picture";

const NO_KERNEL = "There is no kernel that could do this: run the cell again.";
/** A choice is answered at once, unless the kernel is busy with a cell. */
const TIMEOUT_MS = 60_000;

/** What controls share: choices, what is chosen, what is under way, and the picture that came of it. Has no view. */
export class SessionModel extends WidgetModel implements Controls {
  static override serializers: ISerializers = { ...WidgetModel.serializers, picture: { deserialize: unpack_models } };

  override defaults(): Backbone.ObjectHash {
    return {
      ...super.defaults(),
      ...namesOf("SessionModel", null),
      choices: {},
      current: {},
      status: {},
      picture: null,
    };
  }

  readonly #name = writerName();
  #count = 0;
  #store: SelectionStore | undefined;

  get choices(): ControlChoices {
    return readChoices(this.get("choices"));
  }

  get current(): ControlCurrent {
    return readCurrent(this.get("current"));
  }

  get status(): ControlStatus {
    return readStatus(this.get("status"));
  }

  /** Where the numbers of the picture come from; undefined while there is none. */
  source(): CachedSource | undefined {
    return (this.get("picture") as PictureModel | null)?.source();
  }

  /** The selection of the picture, or, before there is one, one that holds the settings of the first. */
  store(): SelectionStore {
    const picture = this.get("picture") as PictureModel | null;
    const link = picture?.get("link") as SelectionModel | null | undefined;
    if (picture && link) return link.store(picture.source().facts);
    return (this.#store ??= new SelectionStore({ ...initialSelection(1), ...this.choices.settings }));
  }

  choose(choice: Choice): Promise<void> {
    return this.#request(CHOOSE, choosePayload(choice));
  }

  openDataset(file: string): Promise<void> {
    return this.#request(OPEN_DATASET, datasetPayload(file));
  }

  stop(): Promise<void> {
    return this.#request(STOP, null);
  }

  subscribe(listener: () => void, signal: AbortSignal): void {
    this.on("change", listener);
    signal.addEventListener("abort", () => this.off("change", listener), { once: true });
  }

  #request(kind: string, payload: unknown): Promise<void> {
    if (!this.comm_live) return Promise.reject(new ProtocolError("unavailable", NO_KERNEL));
    const id = `${this.#name}.${++this.#count}`;
    return new Promise((resolve, reject) => {
      const end = (): void => {
        clearTimeout(timer);
        this.off("msg:custom", receive);
      };
      const receive = (content: unknown): void => {
        const response = readResponse(content);
        if (response?.response !== id) return;
        end();
        if ("error" in response) reject(responseError(response.error));
        else resolve();
      };
      const timer = setTimeout(() => {
        end();
        reject(new ProtocolError("failed", "The kernel did not answer; it may be busy with a cell."));
      }, TIMEOUT_MS);
      this.on("msg:custom", receive);
      this.send({ request: id, kind, payload } as Parameters<WidgetModel["send"]>[0], {});
    });
  }
}

/** One control of a session. */
export class ControlModel extends ShownModel {
  static override serializers: ISerializers = {
    ...DOMWidgetModel.serializers,
    session: { deserialize: unpack_models },
  };

  override defaults(): Backbone.ObjectHash {
    return { ...super.defaults(), ...namesOf("ControlModel", "ControlView"), session: null, part: "" };
  }

  override parts(): LiveElement {
    return {
      kind: "element",
      element: async (signal) => {
        const view = await this.widget_manager.create_view(this, {});
        signal.addEventListener("abort", () => void view.remove());
        return view.el;
      },
    };
  }
}

const ELEMENTS: Readonly<Record<string, string>> = {
  "model-panel": "lmt-model-panel",
  "prompt-bar": "lmt-prompt-bar",
  explore: "lmt-explore",
};

/** Draws the control's element and gives it the picture of the moment. */
export class ControlView extends DOMWidgetView {
  override render(): void {
    this.el.classList.add("lm-transparency");
    keepKeys();
    try {
      const session = this.model.get("session") as SessionModel | null;
      const name: unknown = this.model.get("part");
      if (!session) throw new ProtocolError("malformed", "This control's session is gone: run the cell again.");
      if (typeof name !== "string" || !Object.hasOwn(ELEMENTS, name)) {
        throw new ProtocolError(
          "version",
          `This version of lm-transparency has no control named ${JSON.stringify(name)}; it has ${Object.keys(ELEMENTS).join(", ")}.`,
        );
      }
      void session.choices;
      const element = document.createElement(ELEMENTS[name]) as ControlElement;
      const follow = (): void => {
        element.source = session.source();
        element.selection = session.store();
      };
      element.controls = session;
      follow();
      this.listenTo(session, "change:picture", follow);
      this.el.replaceChildren(element);
    } catch (error) {
      this.el.replaceChildren(sentenceElement(error));
    }
  }
}

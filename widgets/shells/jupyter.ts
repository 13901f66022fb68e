import { DOMWidgetModel, DOMWidgetView, unpack_models, WidgetModel } from "@jupyter-widgets/base";
import type { ISerializers } from "@jupyter-widgets/base";
import type { RunFacts } from "../../src/protocol";
import { EXPORT, readRunFacts, readSelection, selectionFor } from "../../src/protocol";
import { SelectionStore } from "../core/selection-store";
import { tellKeeping } from "../elements/keeping";
import { CachedSource, sentenceOf } from "../core/source";
import { CommSource } from "./comm-source";
import type { Channel } from "./comm-source";
import type { LivePicture } from "./live";
import { namesOf, ShownModel } from "./models";
import { pictureElement, savedPicture, sentenceElement, shownPicture } from "./picture";

/** Front end of the ipywidgets: models and views around the elements. */

const WRITER_OF_MODEL = "model";

/** The selection that pictures share; has no view. The store in it is what the elements write and listen to. */
export class SelectionModel extends WidgetModel {
  override defaults(): Backbone.ObjectHash {
    return { ...super.defaults(), ...namesOf("SelectionModel", null), value: {} };
  }

  #store: SelectionStore | undefined;
  readonly #closed = new AbortController();

  /** The store of this selection; its start lies within the tokens of `facts`. */
  store(facts: RunFacts): SelectionStore {
    if (this.#store) return this.#store;
    const store = (this.#store = new SelectionStore(selectionFor(facts, this.get("value"))));
    this.on("change:value", () => {
      // What a view wrote itself comes back as an echo; it must not undo what was written since.
      if ((this.get("value") as { writer?: unknown }).writer === store.value.writer) return;
      store.set(readSelection(this.get("value"), store.value), WRITER_OF_MODEL);
    });
    store.subscribe((value) => {
      if (value.writer === WRITER_OF_MODEL) return;
      this.set("value", value);
      this.save_changes();
    }, this.#closed.signal);
    return store;
  }

  override close(comm_closed?: boolean): Promise<void> {
    this.#closed.abort();
    return super.close(comm_closed);
  }
}

/** State of a picture: its run's facts, its selection, and the way to ask the kernel. */
export class PictureModel extends ShownModel {
  static override serializers: ISerializers = { ...DOMWidgetModel.serializers, link: { deserialize: unpack_models } };

  override defaults(): Backbone.ObjectHash {
    return {
      ...super.defaults(),
      ...namesOf("PictureModel", "PictureView"),
      picture: "",
      facts: {},
      link: null,
      options: {},
      keeping: -1,
    };
  }

  #source: CachedSource | undefined;
  #facts = "";

  protected override get changes(): string {
    return "comm_live_update change:facts change:link";
  }

  protected override begin(): void {
    super.begin();
    this.on("msg:custom", (content: unknown) => void this.#export(content));
    this.on("comm_live_update", () => this.comm_live || tellKeeping({ widget: this.model_id, share: -1 }));
    this.on("change:keeping", () => tellKeeping({ widget: this.model_id, share: Number(this.get("keeping")) }));
  }

  /** Answers the kernel's request for a file, where this page shows the picture. */
  async #export(content: unknown): Promise<void> {
    const { request, kind, payload } = (content ?? {}) as {
      request?: unknown;
      kind?: unknown;
      payload?: { format?: unknown; part?: unknown };
    };
    if (kind !== EXPORT || typeof request !== "string") return;
    const element = shownPicture(this.get("picture"), this.parts().selection);
    if (!element) return;
    try {
      const file = await savedPicture(element, String(payload?.format), payload?.part);
      this.send({ response: request, payload: { type: file.type } }, {}, [await file.arrayBuffer()]);
    } catch (error) {
      this.send({ response: request, error: { code: "failed", message: sentenceOf(error) } }, {});
    }
  }

  override parts(): LivePicture {
    const source = this.source();
    const link = this.get("link") as SelectionModel | null;
    return {
      kind: "picture",
      source,
      facts: source.facts,
      selection: link?.store(source.facts) ?? new SelectionStore(selectionFor(source.facts, {})),
    };
  }

  override close(comm_closed?: boolean): Promise<void> {
    const closed = super.close(comm_closed);
    // Front ends may keep models that are closed: not with all their answers.
    this.#source = undefined;
    this.off("msg:custom");
    this.off("change:keeping");
    tellKeeping({ widget: this.model_id, share: -1 });
    return closed;
  }

  /** The picture's source. Made anew when the facts are others: answers of another run are of no use. */
  source(): CachedSource {
    const key = JSON.stringify(this.get("facts"));
    if (!this.#source || key !== this.#facts) {
      this.#facts = key;
      this.#source = new CachedSource(new CommSource(readRunFacts(this.get("facts")), this.#channel(), this.closing));
    }
    return this.#source;
  }

  #channel(): Channel {
    // eslint-disable-next-line @typescript-eslint/no-this-alias
    const model = this;
    return {
      get live() {
        return model.comm_live;
      },
      send: (content) => this.send(content as Parameters<DOMWidgetModel["send"]>[0], {}),
      onMessage: (listener, signal) => {
        this.on("msg:custom", listener);
        signal.addEventListener("abort", () => this.off("msg:custom", listener), { once: true });
      },
    };
  }
}

/** Draws the picture's element, or the sentence that says why it cannot. */
export class PictureView extends DOMWidgetView {
  override render(): void {
    this.el.classList.add("lm-transparency");
    // Beside others in a box it takes its share of the room, and may become narrow.
    Object.assign(this.el.style, { flex: "1 1 0%", minWidth: "0" });
    this.listenTo(this.model, "change:facts change:link change:options change:picture", () => this.#draw());
    this.#draw();
  }

  #draw(): void {
    const model = this.model as PictureModel;
    try {
      const { source, selection } = model.parts();
      const element = pictureElement({
        picture: model.get("picture"),
        options: model.get("options"),
        source,
        selection,
        widget: model.model_id,
      });
      this.el.replaceChildren(element);
    } catch (error) {
      this.el.replaceChildren(sentenceElement(error));
    }
  }
}
export { ControlModel, ControlView, SessionModel } from "./controls";

/**
 * ipywidgets for TypeScript: a typed base for widgets of one's own, all stock controls, `interact`, links and progress
 * bars. Knows nothing of language models. In a cell: `import { IntSlider } from "lm-transparency/ipywidgets"`.
 */
export { commHost, JUPYTER_DISPLAY, type Displayable, type MimeBundle } from "../comm-host";
export { Widget, RequestError } from "./widget";
export type { BaseEvents, Change, Codec, CustomMessage, RequestHandler, RequestOptions, WidgetSpec } from "./widget";
export type { TimeOfDay, UploadedFile } from "./codecs";
export { ControlBase, type Control, type ControlClass, type ControlInit } from "./control";
export type { MultipleSelection, Options, RangeSelection, Selection } from "./selection";
export * from "./generated";
// After the stock controls: these take their names' places.
export { Output } from "./output";
export { display, mimeBundle, updateDisplay } from "./mime";
export { dlink, jsdlink, jslink, link, type Cut } from "./link";
export { interact, Interactive, type Abbreviation, type InteractOptions, type Range } from "./interact";
export { progress, ProgressBar, progressListener, type ProgressOptions } from "./progress";

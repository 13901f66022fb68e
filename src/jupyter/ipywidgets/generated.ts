// Generated from @jupyter-widgets/schema 0.5.6 by scripts/generate-controls.mjs. Do not edit.
import { type CellOutput } from "../comm-host";
import { type TimeOfDay, type UploadedFile } from "./codecs";
import { defineControl, type ClickEvents, type Control, type LinkEnd, type SubmitEvents } from "./control";
import { type RegisteredWidget } from "./registry";
import { defineMultipleSelection, defineRangeSelection, defineSelection, type MultipleSelection, type RangeSelection, type Selection } from "./selection";

/** State of Layout (@jupyter-widgets/base 2.0.0). */
export interface LayoutState {
  /** The align-content CSS attribute. */
  align_content: "flex-start" | "flex-end" | "center" | "space-between" | "space-around" | "space-evenly" | "stretch" | "inherit" | "initial" | "unset" | null;
  /** The align-items CSS attribute. */
  align_items: "flex-start" | "flex-end" | "center" | "baseline" | "stretch" | "inherit" | "initial" | "unset" | null;
  /** The align-self CSS attribute. */
  align_self: "auto" | "flex-start" | "flex-end" | "center" | "baseline" | "stretch" | "inherit" | "initial" | "unset" | null;
  /** The border bottom CSS attribute. */
  border_bottom: string | null;
  /** The border left CSS attribute. */
  border_left: string | null;
  /** The border right CSS attribute. */
  border_right: string | null;
  /** The border top CSS attribute. */
  border_top: string | null;
  /** The bottom CSS attribute. */
  bottom: string | null;
  /** The display CSS attribute. */
  display: string | null;
  /** The flex CSS attribute. */
  flex: string | null;
  /** The flex-flow CSS attribute. */
  flex_flow: string | null;
  /** The grid-area CSS attribute. */
  grid_area: string | null;
  /** The grid-auto-columns CSS attribute. */
  grid_auto_columns: string | null;
  /** The grid-auto-flow CSS attribute. */
  grid_auto_flow: "column" | "row" | "row dense" | "column dense" | "inherit" | "initial" | "unset" | null;
  /** The grid-auto-rows CSS attribute. */
  grid_auto_rows: string | null;
  /** The grid-column CSS attribute. */
  grid_column: string | null;
  /** The grid-gap CSS attribute. */
  grid_gap: string | null;
  /** The grid-row CSS attribute. */
  grid_row: string | null;
  /** The grid-template-areas CSS attribute. */
  grid_template_areas: string | null;
  /** The grid-template-columns CSS attribute. */
  grid_template_columns: string | null;
  /** The grid-template-rows CSS attribute. */
  grid_template_rows: string | null;
  /** The height CSS attribute. */
  height: string | null;
  /** The justify-content CSS attribute. */
  justify_content: "flex-start" | "flex-end" | "center" | "space-between" | "space-around" | "inherit" | "initial" | "unset" | null;
  /** The justify-items CSS attribute. */
  justify_items: "flex-start" | "flex-end" | "center" | "inherit" | "initial" | "unset" | null;
  /** The left CSS attribute. */
  left: string | null;
  /** The margin CSS attribute. */
  margin: string | null;
  /** The max-height CSS attribute. */
  max_height: string | null;
  /** The max-width CSS attribute. */
  max_width: string | null;
  /** The min-height CSS attribute. */
  min_height: string | null;
  /** The min-width CSS attribute. */
  min_width: string | null;
  /** The object-fit CSS attribute. */
  object_fit: "contain" | "cover" | "fill" | "scale-down" | "none" | null;
  /** The object-position CSS attribute. */
  object_position: string | null;
  /** The order CSS attribute. */
  order: string | null;
  /** The overflow CSS attribute. */
  overflow: string | null;
  /** The padding CSS attribute. */
  padding: string | null;
  /** The right CSS attribute. */
  right: string | null;
  /** The top CSS attribute. */
  top: string | null;
  /** The visibility CSS attribute. */
  visibility: "visible" | "hidden" | "inherit" | "initial" | "unset" | null;
  /** The width CSS attribute. */
  width: string | null;
  /** How many views show it; null: not counted. */
  _view_count: number | null;
}

/** Stock control Layout (@jupyter-widgets/base 2.0.0); its state is {@link LayoutState}. */
export const Layout = defineControl<LayoutState>({
  name: "Layout",
  modelName: "LayoutModel", modelModule: "@jupyter-widgets/base", modelModuleVersion: "2.0.0",
  viewName: "LayoutView", viewModule: "@jupyter-widgets/base", viewModuleVersion: "2.0.0",
  traits: {
    align_content: { kind: "string", default: null, nullable: true, oneOf: ["flex-start","flex-end","center","space-between","space-around","space-evenly","stretch","inherit","initial","unset"] },
    align_items: { kind: "string", default: null, nullable: true, oneOf: ["flex-start","flex-end","center","baseline","stretch","inherit","initial","unset"] },
    align_self: { kind: "string", default: null, nullable: true, oneOf: ["auto","flex-start","flex-end","center","baseline","stretch","inherit","initial","unset"] },
    border_bottom: { kind: "string", default: null, nullable: true },
    border_left: { kind: "string", default: null, nullable: true },
    border_right: { kind: "string", default: null, nullable: true },
    border_top: { kind: "string", default: null, nullable: true },
    bottom: { kind: "string", default: null, nullable: true },
    display: { kind: "string", default: null, nullable: true },
    flex: { kind: "string", default: null, nullable: true },
    flex_flow: { kind: "string", default: null, nullable: true },
    grid_area: { kind: "string", default: null, nullable: true },
    grid_auto_columns: { kind: "string", default: null, nullable: true },
    grid_auto_flow: { kind: "string", default: null, nullable: true, oneOf: ["column","row","row dense","column dense","inherit","initial","unset"] },
    grid_auto_rows: { kind: "string", default: null, nullable: true },
    grid_column: { kind: "string", default: null, nullable: true },
    grid_gap: { kind: "string", default: null, nullable: true },
    grid_row: { kind: "string", default: null, nullable: true },
    grid_template_areas: { kind: "string", default: null, nullable: true },
    grid_template_columns: { kind: "string", default: null, nullable: true },
    grid_template_rows: { kind: "string", default: null, nullable: true },
    height: { kind: "string", default: null, nullable: true },
    justify_content: { kind: "string", default: null, nullable: true, oneOf: ["flex-start","flex-end","center","space-between","space-around","inherit","initial","unset"] },
    justify_items: { kind: "string", default: null, nullable: true, oneOf: ["flex-start","flex-end","center","inherit","initial","unset"] },
    left: { kind: "string", default: null, nullable: true },
    margin: { kind: "string", default: null, nullable: true },
    max_height: { kind: "string", default: null, nullable: true },
    max_width: { kind: "string", default: null, nullable: true },
    min_height: { kind: "string", default: null, nullable: true },
    min_width: { kind: "string", default: null, nullable: true },
    object_fit: { kind: "string", default: null, nullable: true, oneOf: ["contain","cover","fill","scale-down","none"] },
    object_position: { kind: "string", default: null, nullable: true },
    order: { kind: "string", default: null, nullable: true },
    overflow: { kind: "string", default: null, nullable: true },
    padding: { kind: "string", default: null, nullable: true },
    right: { kind: "string", default: null, nullable: true },
    top: { kind: "string", default: null, nullable: true },
    visibility: { kind: "string", default: null, nullable: true, oneOf: ["visible","hidden","inherit","initial","unset"] },
    width: { kind: "string", default: null, nullable: true },
    _view_count: { kind: "int", default: null, nullable: true },
  },
});
/** Stock control Layout (@jupyter-widgets/base 2.0.0); its state is {@link LayoutState}. */
export type Layout = Control<LayoutState>;

/** State of Accordion (@jupyter-widgets/controls 2.0.0). */
export interface AccordionState {
  /** CSS classes applied to widget DOM element */
  _dom_classes: readonly string[];
  /** Use a predefined styling for the box. */
  box_style: "success" | "info" | "warning" | "danger" | "";
  /** List of widget children */
  children: readonly RegisteredWidget[];
  /** CSS of the box around it. */
  layout: Layout;
  /** The index of the selected page. This is either an integer selecting a particular sub-widget, or None to have no widgets selected. */
  selected_index: number | null;
  /** Is widget tabbable? */
  tabbable: boolean | null;
  /** Titles of the pages */
  titles: readonly string[];
  /** A tooltip caption. */
  tooltip: string | null;
  /** How many views show it; null: not counted. */
  _view_count: number | null;
}

/** Stock control Accordion (@jupyter-widgets/controls 2.0.0); its state is {@link AccordionState}. */
export const Accordion = defineControl<AccordionState>({
  name: "Accordion",
  modelName: "AccordionModel", modelModule: "@jupyter-widgets/controls", modelModuleVersion: "2.0.0",
  viewName: "AccordionView", viewModule: "@jupyter-widgets/controls", viewModuleVersion: "2.0.0",
  traits: {
    _dom_classes: { kind: "strings", default: [] },
    box_style: { kind: "string", default: "", oneOf: ["success","info","warning","danger",""] },
    children: { kind: "widgets", default: [] },
    layout: { kind: "widget", default: () => new Layout() },
    selected_index: { kind: "int", default: null, nullable: true },
    tabbable: { kind: "bool", default: null, nullable: true },
    titles: { kind: "strings", default: [] },
    tooltip: { kind: "string", default: null, nullable: true },
    _view_count: { kind: "int", default: null, nullable: true },
  },
});
/** Stock control Accordion (@jupyter-widgets/controls 2.0.0); its state is {@link AccordionState}. */
export type Accordion = Control<AccordionState>;

/** State of Audio (@jupyter-widgets/controls 2.0.0). */
export interface AudioState {
  /** CSS classes applied to widget DOM element */
  _dom_classes: readonly string[];
  /** When true, the audio starts when it's displayed */
  autoplay: boolean;
  /** Specifies that audio controls should be displayed (such as a play/pause button etc) */
  controls: boolean;
  /** The format of the audio. */
  format: string;
  /** CSS of the box around it. */
  layout: Layout;
  /** When true, the audio will start from the beginning after finishing */
  loop: boolean;
  /** Is widget tabbable? */
  tabbable: boolean | null;
  /** A tooltip caption. */
  tooltip: string | null;
  /** The media data as a memory view of bytes. */
  value: Uint8Array;
  /** How many views show it; null: not counted. */
  _view_count: number | null;
}

/** Stock control Audio (@jupyter-widgets/controls 2.0.0); its state is {@link AudioState}. */
export const Audio = defineControl<AudioState>({
  name: "Audio",
  modelName: "AudioModel", modelModule: "@jupyter-widgets/controls", modelModuleVersion: "2.0.0",
  viewName: "AudioView", viewModule: "@jupyter-widgets/controls", viewModuleVersion: "2.0.0",
  traits: {
    _dom_classes: { kind: "strings", default: [] },
    autoplay: { kind: "bool", default: true },
    controls: { kind: "bool", default: true },
    format: { kind: "string", default: "mp3" },
    layout: { kind: "widget", default: () => new Layout() },
    loop: { kind: "bool", default: true },
    tabbable: { kind: "bool", default: null, nullable: true },
    tooltip: { kind: "string", default: null, nullable: true },
    value: { kind: "bytes", default: () => new Uint8Array(0) },
    _view_count: { kind: "int", default: null, nullable: true },
  },
});
/** Stock control Audio (@jupyter-widgets/controls 2.0.0); its state is {@link AudioState}. */
export type Audio = Control<AudioState>;

/** State of BoundedFloatText (@jupyter-widgets/controls 2.0.0). */
export interface BoundedFloatTextState {
  /** CSS classes applied to widget DOM element */
  _dom_classes: readonly string[];
  /** Update the value as the user types. If False, update on submission, e.g., pressing Enter or navigating away. */
  continuous_update: boolean;
  /** Description of the control. */
  description: string;
  /** Accept HTML in the description. */
  description_allow_html: boolean;
  /** Enable or disable user changes */
  disabled: boolean;
  /** CSS of the box around it. */
  layout: Layout;
  /** Max value */
  max: number;
  /** Min value */
  min: number;
  /** Minimum step to increment the value */
  step: number | null;
  /** Styling customizations */
  style: DescriptionStyle;
  /** Is widget tabbable? */
  tabbable: boolean | null;
  /** A tooltip caption. */
  tooltip: string | null;
  /** Float value */
  value: number;
  /** How many views show it; null: not counted. */
  _view_count: number | null;
}

/** Stock control BoundedFloatText (@jupyter-widgets/controls 2.0.0); its state is {@link BoundedFloatTextState}. */
export const BoundedFloatText = defineControl<BoundedFloatTextState>({
  name: "BoundedFloatText",
  modelName: "BoundedFloatTextModel", modelModule: "@jupyter-widgets/controls", modelModuleVersion: "2.0.0",
  viewName: "FloatTextView", viewModule: "@jupyter-widgets/controls", viewModuleVersion: "2.0.0",
  traits: {
    _dom_classes: { kind: "strings", default: [] },
    continuous_update: { kind: "bool", default: false },
    description: { kind: "string", default: "" },
    description_allow_html: { kind: "bool", default: false },
    disabled: { kind: "bool", default: false },
    layout: { kind: "widget", default: () => new Layout() },
    max: { kind: "float", default: 100 },
    min: { kind: "float", default: 0 },
    step: { kind: "float", default: null, nullable: true },
    style: { kind: "widget", default: () => new DescriptionStyle() },
    tabbable: { kind: "bool", default: null, nullable: true },
    tooltip: { kind: "string", default: null, nullable: true },
    value: { kind: "float", default: 0 },
    _view_count: { kind: "int", default: null, nullable: true },
  },
});
/** Stock control BoundedFloatText (@jupyter-widgets/controls 2.0.0); its state is {@link BoundedFloatTextState}. */
export type BoundedFloatText = Control<BoundedFloatTextState>;

/** State of BoundedIntText (@jupyter-widgets/controls 2.0.0). */
export interface BoundedIntTextState {
  /** CSS classes applied to widget DOM element */
  _dom_classes: readonly string[];
  /** Update the value as the user types. If False, update on submission, e.g., pressing Enter or navigating away. */
  continuous_update: boolean;
  /** Description of the control. */
  description: string;
  /** Accept HTML in the description. */
  description_allow_html: boolean;
  /** Enable or disable user changes */
  disabled: boolean;
  /** CSS of the box around it. */
  layout: Layout;
  /** Max value */
  max: number;
  /** Min value */
  min: number;
  /** Minimum step to increment the value */
  step: number;
  /** Styling customizations */
  style: DescriptionStyle;
  /** Is widget tabbable? */
  tabbable: boolean | null;
  /** A tooltip caption. */
  tooltip: string | null;
  /** Int value */
  value: number;
  /** How many views show it; null: not counted. */
  _view_count: number | null;
}

/** Stock control BoundedIntText (@jupyter-widgets/controls 2.0.0); its state is {@link BoundedIntTextState}. */
export const BoundedIntText = defineControl<BoundedIntTextState>({
  name: "BoundedIntText",
  modelName: "BoundedIntTextModel", modelModule: "@jupyter-widgets/controls", modelModuleVersion: "2.0.0",
  viewName: "IntTextView", viewModule: "@jupyter-widgets/controls", viewModuleVersion: "2.0.0",
  traits: {
    _dom_classes: { kind: "strings", default: [] },
    continuous_update: { kind: "bool", default: false },
    description: { kind: "string", default: "" },
    description_allow_html: { kind: "bool", default: false },
    disabled: { kind: "bool", default: false },
    layout: { kind: "widget", default: () => new Layout() },
    max: { kind: "int", default: 100 },
    min: { kind: "int", default: 0 },
    step: { kind: "int", default: 1 },
    style: { kind: "widget", default: () => new DescriptionStyle() },
    tabbable: { kind: "bool", default: null, nullable: true },
    tooltip: { kind: "string", default: null, nullable: true },
    value: { kind: "int", default: 0 },
    _view_count: { kind: "int", default: null, nullable: true },
  },
});
/** Stock control BoundedIntText (@jupyter-widgets/controls 2.0.0); its state is {@link BoundedIntTextState}. */
export type BoundedIntText = Control<BoundedIntTextState>;

/** State of Box (@jupyter-widgets/controls 2.0.0). */
export interface BoxState {
  /** CSS classes applied to widget DOM element */
  _dom_classes: readonly string[];
  /** Use a predefined styling for the box. */
  box_style: "success" | "info" | "warning" | "danger" | "";
  /** List of widget children */
  children: readonly RegisteredWidget[];
  /** CSS of the box around it. */
  layout: Layout;
  /** Is widget tabbable? */
  tabbable: boolean | null;
  /** A tooltip caption. */
  tooltip: string | null;
  /** How many views show it; null: not counted. */
  _view_count: number | null;
}

/** Stock control Box (@jupyter-widgets/controls 2.0.0); its state is {@link BoxState}. */
export const Box = defineControl<BoxState>({
  name: "Box",
  modelName: "BoxModel", modelModule: "@jupyter-widgets/controls", modelModuleVersion: "2.0.0",
  viewName: "BoxView", viewModule: "@jupyter-widgets/controls", viewModuleVersion: "2.0.0",
  traits: {
    _dom_classes: { kind: "strings", default: [] },
    box_style: { kind: "string", default: "", oneOf: ["success","info","warning","danger",""] },
    children: { kind: "widgets", default: [] },
    layout: { kind: "widget", default: () => new Layout() },
    tabbable: { kind: "bool", default: null, nullable: true },
    tooltip: { kind: "string", default: null, nullable: true },
    _view_count: { kind: "int", default: null, nullable: true },
  },
});
/** Stock control Box (@jupyter-widgets/controls 2.0.0); its state is {@link BoxState}. */
export type Box = Control<BoxState>;

/** State of Button (@jupyter-widgets/controls 2.0.0). */
export interface ButtonState {
  /** CSS classes applied to widget DOM element */
  _dom_classes: readonly string[];
  /** Use a predefined styling for the button. */
  button_style: "primary" | "success" | "info" | "warning" | "danger" | "";
  /** Button label. */
  description: string;
  /** Enable or disable user changes. */
  disabled: boolean;
  /** Font-awesome icon names, without the 'fa-' prefix. */
  icon: string;
  /** CSS of the box around it. */
  layout: Layout;
  /** Colours and sizes of its parts. */
  style: ButtonStyle;
  /** Is widget tabbable? */
  tabbable: boolean | null;
  /** A tooltip caption. */
  tooltip: string | null;
  /** How many views show it; null: not counted. */
  _view_count: number | null;
}

/** Stock control Button (@jupyter-widgets/controls 2.0.0); its state is {@link ButtonState}. */
export const Button = defineControl<ButtonState, ClickEvents>({
  name: "Button",
  modelName: "ButtonModel", modelModule: "@jupyter-widgets/controls", modelModuleVersion: "2.0.0",
  viewName: "ButtonView", viewModule: "@jupyter-widgets/controls", viewModuleVersion: "2.0.0",
  traits: {
    _dom_classes: { kind: "strings", default: [] },
    button_style: { kind: "string", default: "", oneOf: ["primary","success","info","warning","danger",""] },
    description: { kind: "string", default: "" },
    disabled: { kind: "bool", default: false },
    icon: { kind: "string", default: "" },
    layout: { kind: "widget", default: () => new Layout() },
    style: { kind: "widget", default: () => new ButtonStyle() },
    tabbable: { kind: "bool", default: null, nullable: true },
    tooltip: { kind: "string", default: null, nullable: true },
    _view_count: { kind: "int", default: null, nullable: true },
  },
});
/** Stock control Button (@jupyter-widgets/controls 2.0.0); its state is {@link ButtonState}. */
export type Button = Control<ButtonState, ClickEvents>;

/** State of ButtonStyle (@jupyter-widgets/controls 2.0.0). */
export interface ButtonStyleState {
  /** Color of the button */
  button_color: string | null;
  /** Button text font family. */
  font_family: string | null;
  /** Button text font size. */
  font_size: string | null;
  /** Button text font style. */
  font_style: string | null;
  /** Button text font variant. */
  font_variant: string | null;
  /** Button text font weight. */
  font_weight: string | null;
  /** Button text color. */
  text_color: string | null;
  /** Button text decoration. */
  text_decoration: string | null;
  /** How many views show it; null: not counted. */
  _view_count: number | null;
}

/** Stock control ButtonStyle (@jupyter-widgets/controls 2.0.0); its state is {@link ButtonStyleState}. */
export const ButtonStyle = defineControl<ButtonStyleState>({
  name: "ButtonStyle",
  modelName: "ButtonStyleModel", modelModule: "@jupyter-widgets/controls", modelModuleVersion: "2.0.0",
  viewName: "StyleView", viewModule: "@jupyter-widgets/base", viewModuleVersion: "2.0.0",
  traits: {
    button_color: { kind: "string", default: null, nullable: true },
    font_family: { kind: "string", default: null, nullable: true },
    font_size: { kind: "string", default: null, nullable: true },
    font_style: { kind: "string", default: null, nullable: true },
    font_variant: { kind: "string", default: null, nullable: true },
    font_weight: { kind: "string", default: null, nullable: true },
    text_color: { kind: "string", default: null, nullable: true },
    text_decoration: { kind: "string", default: null, nullable: true },
    _view_count: { kind: "int", default: null, nullable: true },
  },
});
/** Stock control ButtonStyle (@jupyter-widgets/controls 2.0.0); its state is {@link ButtonStyleState}. */
export type ButtonStyle = Control<ButtonStyleState>;

/** State of Checkbox (@jupyter-widgets/controls 2.0.0). */
export interface CheckboxState {
  /** CSS classes applied to widget DOM element */
  _dom_classes: readonly string[];
  /** Description of the control. */
  description: string;
  /** Accept HTML in the description. */
  description_allow_html: boolean;
  /** Enable or disable user changes. */
  disabled: boolean;
  /** Indent the control to align with other controls with a description. */
  indent: boolean;
  /** CSS of the box around it. */
  layout: Layout;
  /** Styling customizations */
  style: CheckboxStyle;
  /** Is widget tabbable? */
  tabbable: boolean | null;
  /** A tooltip caption. */
  tooltip: string | null;
  /** Bool value */
  value: boolean;
  /** How many views show it; null: not counted. */
  _view_count: number | null;
}

/** Stock control Checkbox (@jupyter-widgets/controls 2.0.0); its state is {@link CheckboxState}. */
export const Checkbox = defineControl<CheckboxState>({
  name: "Checkbox",
  modelName: "CheckboxModel", modelModule: "@jupyter-widgets/controls", modelModuleVersion: "2.0.0",
  viewName: "CheckboxView", viewModule: "@jupyter-widgets/controls", viewModuleVersion: "2.0.0",
  traits: {
    _dom_classes: { kind: "strings", default: [] },
    description: { kind: "string", default: "" },
    description_allow_html: { kind: "bool", default: false },
    disabled: { kind: "bool", default: false },
    indent: { kind: "bool", default: true },
    layout: { kind: "widget", default: () => new Layout() },
    style: { kind: "widget", default: () => new CheckboxStyle() },
    tabbable: { kind: "bool", default: null, nullable: true },
    tooltip: { kind: "string", default: null, nullable: true },
    value: { kind: "bool", default: false },
    _view_count: { kind: "int", default: null, nullable: true },
  },
});
/** Stock control Checkbox (@jupyter-widgets/controls 2.0.0); its state is {@link CheckboxState}. */
export type Checkbox = Control<CheckboxState>;

/** State of CheckboxStyle (@jupyter-widgets/controls 2.0.0). */
export interface CheckboxStyleState {
  /** Background specifications. */
  background: string | null;
  /** Width of the description to the side of the control. */
  description_width: string;
  /** How many views show it; null: not counted. */
  _view_count: number | null;
}

/** Stock control CheckboxStyle (@jupyter-widgets/controls 2.0.0); its state is {@link CheckboxStyleState}. */
export const CheckboxStyle = defineControl<CheckboxStyleState>({
  name: "CheckboxStyle",
  modelName: "CheckboxStyleModel", modelModule: "@jupyter-widgets/controls", modelModuleVersion: "2.0.0",
  viewName: "StyleView", viewModule: "@jupyter-widgets/base", viewModuleVersion: "2.0.0",
  traits: {
    background: { kind: "string", default: null, nullable: true },
    description_width: { kind: "string", default: "" },
    _view_count: { kind: "int", default: null, nullable: true },
  },
});
/** Stock control CheckboxStyle (@jupyter-widgets/controls 2.0.0); its state is {@link CheckboxStyleState}. */
export type CheckboxStyle = Control<CheckboxStyleState>;

/** State of ColorPicker (@jupyter-widgets/controls 2.0.0). */
export interface ColorPickerState {
  /** CSS classes applied to widget DOM element */
  _dom_classes: readonly string[];
  /** Display short version with just a color selector. */
  concise: boolean;
  /** Description of the control. */
  description: string;
  /** Accept HTML in the description. */
  description_allow_html: boolean;
  /** Enable or disable user changes. */
  disabled: boolean;
  /** CSS of the box around it. */
  layout: Layout;
  /** Styling customizations */
  style: DescriptionStyle;
  /** Is widget tabbable? */
  tabbable: boolean | null;
  /** A tooltip caption. */
  tooltip: string | null;
  /** The color value. */
  value: string;
  /** How many views show it; null: not counted. */
  _view_count: number | null;
}

/** Stock control ColorPicker (@jupyter-widgets/controls 2.0.0); its state is {@link ColorPickerState}. */
export const ColorPicker = defineControl<ColorPickerState>({
  name: "ColorPicker",
  modelName: "ColorPickerModel", modelModule: "@jupyter-widgets/controls", modelModuleVersion: "2.0.0",
  viewName: "ColorPickerView", viewModule: "@jupyter-widgets/controls", viewModuleVersion: "2.0.0",
  traits: {
    _dom_classes: { kind: "strings", default: [] },
    concise: { kind: "bool", default: false },
    description: { kind: "string", default: "" },
    description_allow_html: { kind: "bool", default: false },
    disabled: { kind: "bool", default: false },
    layout: { kind: "widget", default: () => new Layout() },
    style: { kind: "widget", default: () => new DescriptionStyle() },
    tabbable: { kind: "bool", default: null, nullable: true },
    tooltip: { kind: "string", default: null, nullable: true },
    value: { kind: "string", default: "black" },
    _view_count: { kind: "int", default: null, nullable: true },
  },
});
/** Stock control ColorPicker (@jupyter-widgets/controls 2.0.0); its state is {@link ColorPickerState}. */
export type ColorPicker = Control<ColorPickerState>;

/** State of ColorsInput (@jupyter-widgets/controls 2.0.0). */
export interface ColorsInputState {
  /** CSS classes applied to widget DOM element */
  _dom_classes: readonly string[];
  /** Whether a tag can be there twice. */
  allow_duplicates: boolean;
  /** Tags that can be chosen; empty: any. */
  allowed_tags: readonly string[];
  /** Description of the control. */
  description: string;
  /** Accept HTML in the description. */
  description_allow_html: boolean;
  /** CSS of the box around it. */
  layout: Layout;
  /** Shown while it is empty. */
  placeholder: string;
  /** Styling customizations */
  style: DescriptionStyle;
  /** Is widget tabbable? */
  tabbable: boolean | null;
  /** A tooltip caption. */
  tooltip: string | null;
  /** List of string tags */
  value: readonly string[];
  /** How many views show it; null: not counted. */
  _view_count: number | null;
}

/** Stock control ColorsInput (@jupyter-widgets/controls 2.0.0); its state is {@link ColorsInputState}. */
export const ColorsInput = defineControl<ColorsInputState>({
  name: "ColorsInput",
  modelName: "ColorsInputModel", modelModule: "@jupyter-widgets/controls", modelModuleVersion: "2.0.0",
  viewName: "ColorsInputView", viewModule: "@jupyter-widgets/controls", viewModuleVersion: "2.0.0",
  traits: {
    _dom_classes: { kind: "strings", default: [] },
    allow_duplicates: { kind: "bool", default: true },
    allowed_tags: { kind: "strings", default: [] },
    description: { kind: "string", default: "" },
    description_allow_html: { kind: "bool", default: false },
    layout: { kind: "widget", default: () => new Layout() },
    placeholder: { kind: "string", default: "​" },
    style: { kind: "widget", default: () => new DescriptionStyle() },
    tabbable: { kind: "bool", default: null, nullable: true },
    tooltip: { kind: "string", default: null, nullable: true },
    value: { kind: "strings", default: [] },
    _view_count: { kind: "int", default: null, nullable: true },
  },
});
/** Stock control ColorsInput (@jupyter-widgets/controls 2.0.0); its state is {@link ColorsInputState}. */
export type ColorsInput = Control<ColorsInputState>;

/** State of Combobox (@jupyter-widgets/controls 2.0.0). */
export interface ComboboxState {
  /** CSS classes applied to widget DOM element */
  _dom_classes: readonly string[];
  /** Update the value as the user types. If False, update on submission, e.g., pressing Enter or navigating away. */
  continuous_update: boolean;
  /** Description of the control. */
  description: string;
  /** Accept HTML in the description. */
  description_allow_html: boolean;
  /** Enable or disable user changes */
  disabled: boolean;
  /** If set, ensure value is in options. Implies continuous_update=False. */
  ensure_option: boolean;
  /** CSS of the box around it. */
  layout: Layout;
  /** Dropdown options for the combobox */
  options: readonly string[];
  /** Placeholder text to display when nothing has been typed */
  placeholder: string;
  /** Colours and sizes of its parts. */
  style: TextStyle;
  /** Is widget tabbable? */
  tabbable: boolean | null;
  /** A tooltip caption. */
  tooltip: string | null;
  /** String value */
  value: string;
  /** How many views show it; null: not counted. */
  _view_count: number | null;
}

/** Stock control Combobox (@jupyter-widgets/controls 2.0.0); its state is {@link ComboboxState}. */
export const Combobox = defineControl<ComboboxState, SubmitEvents>({
  name: "Combobox",
  modelName: "ComboboxModel", modelModule: "@jupyter-widgets/controls", modelModuleVersion: "2.0.0",
  viewName: "ComboboxView", viewModule: "@jupyter-widgets/controls", viewModuleVersion: "2.0.0",
  traits: {
    _dom_classes: { kind: "strings", default: [] },
    continuous_update: { kind: "bool", default: true },
    description: { kind: "string", default: "" },
    description_allow_html: { kind: "bool", default: false },
    disabled: { kind: "bool", default: false },
    ensure_option: { kind: "bool", default: false },
    layout: { kind: "widget", default: () => new Layout() },
    options: { kind: "strings", default: [] },
    placeholder: { kind: "string", default: "​" },
    style: { kind: "widget", default: () => new TextStyle() },
    tabbable: { kind: "bool", default: null, nullable: true },
    tooltip: { kind: "string", default: null, nullable: true },
    value: { kind: "string", default: "" },
    _view_count: { kind: "int", default: null, nullable: true },
  },
});
/** Stock control Combobox (@jupyter-widgets/controls 2.0.0); its state is {@link ComboboxState}. */
export type Combobox = Control<ComboboxState, SubmitEvents>;

/** State of ControllerAxis (@jupyter-widgets/controls 2.0.0). */
export interface ControllerAxisState {
  /** CSS classes applied to widget DOM element */
  _dom_classes: readonly string[];
  /** CSS of the box around it. */
  layout: Layout;
  /** Is widget tabbable? */
  tabbable: boolean | null;
  /** A tooltip caption. */
  tooltip: string | null;
  /** The value of the axis. */
  value: number;
  /** How many views show it; null: not counted. */
  _view_count: number | null;
}

/** Stock control ControllerAxis (@jupyter-widgets/controls 2.0.0); its state is {@link ControllerAxisState}. */
export const ControllerAxis = defineControl<ControllerAxisState>({
  name: "ControllerAxis",
  modelName: "ControllerAxisModel", modelModule: "@jupyter-widgets/controls", modelModuleVersion: "2.0.0",
  viewName: "ControllerAxisView", viewModule: "@jupyter-widgets/controls", viewModuleVersion: "2.0.0",
  traits: {
    _dom_classes: { kind: "strings", default: [] },
    layout: { kind: "widget", default: () => new Layout() },
    tabbable: { kind: "bool", default: null, nullable: true },
    tooltip: { kind: "string", default: null, nullable: true },
    value: { kind: "float", default: 0 },
    _view_count: { kind: "int", default: null, nullable: true },
  },
});
/** Stock control ControllerAxis (@jupyter-widgets/controls 2.0.0); its state is {@link ControllerAxisState}. */
export type ControllerAxis = Control<ControllerAxisState>;

/** State of ControllerButton (@jupyter-widgets/controls 2.0.0). */
export interface ControllerButtonState {
  /** CSS classes applied to widget DOM element */
  _dom_classes: readonly string[];
  /** CSS of the box around it. */
  layout: Layout;
  /** Whether the button is pressed. */
  pressed: boolean;
  /** Is widget tabbable? */
  tabbable: boolean | null;
  /** A tooltip caption. */
  tooltip: string | null;
  /** The value of the button. */
  value: number;
  /** How many views show it; null: not counted. */
  _view_count: number | null;
}

/** Stock control ControllerButton (@jupyter-widgets/controls 2.0.0); its state is {@link ControllerButtonState}. */
export const ControllerButton = defineControl<ControllerButtonState>({
  name: "ControllerButton",
  modelName: "ControllerButtonModel", modelModule: "@jupyter-widgets/controls", modelModuleVersion: "2.0.0",
  viewName: "ControllerButtonView", viewModule: "@jupyter-widgets/controls", viewModuleVersion: "2.0.0",
  traits: {
    _dom_classes: { kind: "strings", default: [] },
    layout: { kind: "widget", default: () => new Layout() },
    pressed: { kind: "bool", default: false },
    tabbable: { kind: "bool", default: null, nullable: true },
    tooltip: { kind: "string", default: null, nullable: true },
    value: { kind: "float", default: 0 },
    _view_count: { kind: "int", default: null, nullable: true },
  },
});
/** Stock control ControllerButton (@jupyter-widgets/controls 2.0.0); its state is {@link ControllerButtonState}. */
export type ControllerButton = Control<ControllerButtonState>;

/** State of Controller (@jupyter-widgets/controls 2.0.0). */
export interface ControllerState {
  /** CSS classes applied to widget DOM element */
  _dom_classes: readonly string[];
  /** The axes on the gamepad. */
  axes: readonly ControllerAxis[];
  /** The buttons on the gamepad. */
  buttons: readonly ControllerButton[];
  /** Whether the gamepad is connected. */
  connected: boolean;
  /** The id number of the controller. */
  index: number;
  /** CSS of the box around it. */
  layout: Layout;
  /** The name of the control mapping. */
  mapping: string;
  /** The name of the controller. */
  name: string;
  /** Is widget tabbable? */
  tabbable: boolean | null;
  /** The last time the data from this gamepad was updated. */
  timestamp: number;
  /** A tooltip caption. */
  tooltip: string | null;
  /** How many views show it; null: not counted. */
  _view_count: number | null;
}

/** Stock control Controller (@jupyter-widgets/controls 2.0.0); its state is {@link ControllerState}. */
export const Controller = defineControl<ControllerState>({
  name: "Controller",
  modelName: "ControllerModel", modelModule: "@jupyter-widgets/controls", modelModuleVersion: "2.0.0",
  viewName: "ControllerView", viewModule: "@jupyter-widgets/controls", viewModuleVersion: "2.0.0",
  traits: {
    _dom_classes: { kind: "strings", default: [] },
    axes: { kind: "widgets", default: [] },
    buttons: { kind: "widgets", default: [] },
    connected: { kind: "bool", default: false },
    index: { kind: "int", default: 0 },
    layout: { kind: "widget", default: () => new Layout() },
    mapping: { kind: "string", default: "" },
    name: { kind: "string", default: "" },
    tabbable: { kind: "bool", default: null, nullable: true },
    timestamp: { kind: "float", default: 0 },
    tooltip: { kind: "string", default: null, nullable: true },
    _view_count: { kind: "int", default: null, nullable: true },
  },
});
/** Stock control Controller (@jupyter-widgets/controls 2.0.0); its state is {@link ControllerState}. */
export type Controller = Control<ControllerState>;

/** State of DatePicker (@jupyter-widgets/controls 2.0.0). */
export interface DatePickerState {
  /** CSS classes applied to widget DOM element */
  _dom_classes: readonly string[];
  /** Description of the control. */
  description: string;
  /** Accept HTML in the description. */
  description_allow_html: boolean;
  /** Enable or disable user changes. */
  disabled: boolean;
  /** CSS of the box around it. */
  layout: Layout;
  /** The largest value. */
  max: Date | null;
  /** The smallest value. */
  min: Date | null;
  /** The date step to use for the picker, in days, or "any". */
  step: number | "any";
  /** Styling customizations */
  style: DescriptionStyle;
  /** Is widget tabbable? */
  tabbable: boolean | null;
  /** A tooltip caption. */
  tooltip: string | null;
  /** What the user has chosen or typed. */
  value: Date | null;
  /** How many views show it; null: not counted. */
  _view_count: number | null;
}

/** Stock control DatePicker (@jupyter-widgets/controls 2.0.0); its state is {@link DatePickerState}. */
export const DatePicker = defineControl<DatePickerState>({
  name: "DatePicker",
  modelName: "DatePickerModel", modelModule: "@jupyter-widgets/controls", modelModuleVersion: "2.0.0",
  viewName: "DatePickerView", viewModule: "@jupyter-widgets/controls", viewModuleVersion: "2.0.0",
  traits: {
    _dom_classes: { kind: "strings", default: [] },
    description: { kind: "string", default: "" },
    description_allow_html: { kind: "bool", default: false },
    disabled: { kind: "bool", default: false },
    layout: { kind: "widget", default: () => new Layout() },
    max: { kind: "Date", default: null, nullable: true },
    min: { kind: "Date", default: null, nullable: true },
    step: { kind: "intOrAny", default: 1 },
    style: { kind: "widget", default: () => new DescriptionStyle() },
    tabbable: { kind: "bool", default: null, nullable: true },
    tooltip: { kind: "string", default: null, nullable: true },
    value: { kind: "Date", default: null, nullable: true },
    _view_count: { kind: "int", default: null, nullable: true },
  },
});
/** Stock control DatePicker (@jupyter-widgets/controls 2.0.0); its state is {@link DatePickerState}. */
export type DatePicker = Control<DatePickerState>;

/** State of DatetimePicker (@jupyter-widgets/controls 2.0.0). */
export interface DatetimePickerState {
  /** CSS classes applied to widget DOM element */
  _dom_classes: readonly string[];
  /** Description of the control. */
  description: string;
  /** Accept HTML in the description. */
  description_allow_html: boolean;
  /** Enable or disable user changes. */
  disabled: boolean;
  /** CSS of the box around it. */
  layout: Layout;
  /** The largest value. */
  max: Date | null;
  /** The smallest value. */
  min: Date | null;
  /** Styling customizations */
  style: DescriptionStyle;
  /** Is widget tabbable? */
  tabbable: boolean | null;
  /** A tooltip caption. */
  tooltip: string | null;
  /** What the user has chosen or typed. */
  value: Date | null;
  /** How many views show it; null: not counted. */
  _view_count: number | null;
}

/** Stock control DatetimePicker (@jupyter-widgets/controls 2.0.0); its state is {@link DatetimePickerState}. */
export const DatetimePicker = defineControl<DatetimePickerState>({
  name: "DatetimePicker",
  modelName: "DatetimeModel", modelModule: "@jupyter-widgets/controls", modelModuleVersion: "2.0.0",
  viewName: "DatetimeView", viewModule: "@jupyter-widgets/controls", viewModuleVersion: "2.0.0",
  traits: {
    _dom_classes: { kind: "strings", default: [] },
    description: { kind: "string", default: "" },
    description_allow_html: { kind: "bool", default: false },
    disabled: { kind: "bool", default: false },
    layout: { kind: "widget", default: () => new Layout() },
    max: { kind: "Datetime", default: null, nullable: true },
    min: { kind: "Datetime", default: null, nullable: true },
    style: { kind: "widget", default: () => new DescriptionStyle() },
    tabbable: { kind: "bool", default: null, nullable: true },
    tooltip: { kind: "string", default: null, nullable: true },
    value: { kind: "Datetime", default: null, nullable: true },
    _view_count: { kind: "int", default: null, nullable: true },
  },
});
/** Stock control DatetimePicker (@jupyter-widgets/controls 2.0.0); its state is {@link DatetimePickerState}. */
export type DatetimePicker = Control<DatetimePickerState>;

/** State of DescriptionStyle (@jupyter-widgets/controls 2.0.0). */
export interface DescriptionStyleState {
  /** Width of the description to the side of the control. */
  description_width: string;
  /** How many views show it; null: not counted. */
  _view_count: number | null;
}

/** Stock control DescriptionStyle (@jupyter-widgets/controls 2.0.0); its state is {@link DescriptionStyleState}. */
export const DescriptionStyle = defineControl<DescriptionStyleState>({
  name: "DescriptionStyle",
  modelName: "DescriptionStyleModel", modelModule: "@jupyter-widgets/controls", modelModuleVersion: "2.0.0",
  viewName: "StyleView", viewModule: "@jupyter-widgets/base", viewModuleVersion: "2.0.0",
  traits: {
    description_width: { kind: "string", default: "" },
    _view_count: { kind: "int", default: null, nullable: true },
  },
});
/** Stock control DescriptionStyle (@jupyter-widgets/controls 2.0.0); its state is {@link DescriptionStyleState}. */
export type DescriptionStyle = Control<DescriptionStyleState>;

/** State of DirectionalLink (@jupyter-widgets/controls 2.0.0). */
export interface DirectionalLinkState {
  /** The source (widget, 'trait_name') pair */
  source: LinkEnd;
  /** The target (widget, 'trait_name') pair */
  target: LinkEnd;
  /** How many views show it; null: not counted. */
  _view_count: number | null;
}

/** Stock control DirectionalLink (@jupyter-widgets/controls 2.0.0); its state is {@link DirectionalLinkState}. */
export const DirectionalLink = defineControl<DirectionalLinkState>({
  name: "DirectionalLink",
  modelName: "DirectionalLinkModel", modelModule: "@jupyter-widgets/controls", modelModuleVersion: "2.0.0",
  viewName: null, viewModule: "@jupyter-widgets/controls", viewModuleVersion: "2.0.0",
  traits: {
    source: { kind: "end", default: [] },
    target: { kind: "end", default: [] },
    _view_count: { kind: "int", default: null, nullable: true },
  },
});
/** Stock control DirectionalLink (@jupyter-widgets/controls 2.0.0); its state is {@link DirectionalLinkState}. */
export type DirectionalLink = Control<DirectionalLinkState>;

/** State of Dropdown (@jupyter-widgets/controls 2.0.0). */
export interface DropdownState {
  /** CSS classes applied to widget DOM element */
  _dom_classes: readonly string[];
  /** The labels for the options. */
  _options_labels: readonly string[];
  /** Description of the control. */
  description: string;
  /** Accept HTML in the description. */
  description_allow_html: boolean;
  /** Enable or disable user changes */
  disabled: boolean;
  /** Selected index */
  index: number | null;
  /** CSS of the box around it. */
  layout: Layout;
  /** Styling customizations */
  style: DescriptionStyle;
  /** Is widget tabbable? */
  tabbable: boolean | null;
  /** A tooltip caption. */
  tooltip: string | null;
  /** How many views show it; null: not counted. */
  _view_count: number | null;
}

/** Stock control Dropdown (@jupyter-widgets/controls 2.0.0); its state is {@link DropdownState}. */
export const Dropdown = defineSelection<DropdownState>({
  name: "Dropdown",
  modelName: "DropdownModel", modelModule: "@jupyter-widgets/controls", modelModuleVersion: "2.0.0",
  viewName: "DropdownView", viewModule: "@jupyter-widgets/controls", viewModuleVersion: "2.0.0",
  traits: {
    _dom_classes: { kind: "strings", default: [] },
    _options_labels: { kind: "strings", default: [] },
    description: { kind: "string", default: "" },
    description_allow_html: { kind: "bool", default: false },
    disabled: { kind: "bool", default: false },
    index: { kind: "int", default: null, nullable: true },
    layout: { kind: "widget", default: () => new Layout() },
    style: { kind: "widget", default: () => new DescriptionStyle() },
    tabbable: { kind: "bool", default: null, nullable: true },
    tooltip: { kind: "string", default: null, nullable: true },
    _view_count: { kind: "int", default: null, nullable: true },
  },
});
/** Stock control Dropdown (@jupyter-widgets/controls 2.0.0); its state is {@link DropdownState}. */
export type Dropdown<V = string> = Selection<DropdownState, V>;

/** State of FileUpload (@jupyter-widgets/controls 2.0.0). */
export interface FileUploadState {
  /** CSS classes applied to widget DOM element */
  _dom_classes: readonly string[];
  /** File types to accept, empty string for all */
  accept: string;
  /** Use a predefined styling for the button. */
  button_style: "primary" | "success" | "info" | "warning" | "danger" | "";
  /** Description of the control. */
  description: string;
  /** Accept HTML in the description. */
  description_allow_html: boolean;
  /** Enable or disable button */
  disabled: boolean;
  /** Error message */
  error: string;
  /** Font-awesome icon name, without the 'fa-' prefix. */
  icon: string;
  /** CSS of the box around it. */
  layout: Layout;
  /** If True, allow for multiple files upload */
  multiple: boolean;
  /** Colours and sizes of its parts. */
  style: ButtonStyle;
  /** Is widget tabbable? */
  tabbable: boolean | null;
  /** A tooltip caption. */
  tooltip: string | null;
  /** The file upload value */
  value: readonly UploadedFile[];
  /** How many views show it; null: not counted. */
  _view_count: number | null;
}

/** Stock control FileUpload (@jupyter-widgets/controls 2.0.0); its state is {@link FileUploadState}. */
export const FileUpload = defineControl<FileUploadState>({
  name: "FileUpload",
  modelName: "FileUploadModel", modelModule: "@jupyter-widgets/controls", modelModuleVersion: "2.0.0",
  viewName: "FileUploadView", viewModule: "@jupyter-widgets/controls", viewModuleVersion: "2.0.0",
  traits: {
    _dom_classes: { kind: "strings", default: [] },
    accept: { kind: "string", default: "" },
    button_style: { kind: "string", default: "", oneOf: ["primary","success","info","warning","danger",""] },
    description: { kind: "string", default: "Upload" },
    description_allow_html: { kind: "bool", default: false },
    disabled: { kind: "bool", default: false },
    error: { kind: "string", default: "" },
    icon: { kind: "string", default: "upload" },
    layout: { kind: "widget", default: () => new Layout() },
    multiple: { kind: "bool", default: false },
    style: { kind: "widget", default: () => new ButtonStyle() },
    tabbable: { kind: "bool", default: null, nullable: true },
    tooltip: { kind: "string", default: null, nullable: true },
    value: { kind: "files", default: [] },
    _view_count: { kind: "int", default: null, nullable: true },
  },
});
/** Stock control FileUpload (@jupyter-widgets/controls 2.0.0); its state is {@link FileUploadState}. */
export type FileUpload = Control<FileUploadState>;

/** State of FloatLogSlider (@jupyter-widgets/controls 2.0.0). */
export interface FloatLogSliderState {
  /** CSS classes applied to widget DOM element */
  _dom_classes: readonly string[];
  /** Base for the logarithm */
  base: number;
  /** Slider dragging behavior. */
  behavior: "drag-tap" | "drag-snap" | "tap" | "drag" | "snap";
  /** Update the value of the widget as the user is holding the slider. */
  continuous_update: boolean;
  /** Description of the control. */
  description: string;
  /** Accept HTML in the description. */
  description_allow_html: boolean;
  /** Enable or disable user changes */
  disabled: boolean;
  /** CSS of the box around it. */
  layout: Layout;
  /** Max value for the exponent */
  max: number;
  /** Min value for the exponent */
  min: number;
  /** Vertical or horizontal. */
  orientation: "horizontal" | "vertical";
  /** Display the current value of the slider next to it. */
  readout: boolean;
  /** Format for the readout */
  readout_format: string;
  /** Minimum step in the exponent to increment the value */
  step: number | null;
  /** Colours and sizes of its parts. */
  style: SliderStyle;
  /** Is widget tabbable? */
  tabbable: boolean | null;
  /** A tooltip caption. */
  tooltip: string | null;
  /** Float value */
  value: number;
  /** How many views show it; null: not counted. */
  _view_count: number | null;
}

/** Stock control FloatLogSlider (@jupyter-widgets/controls 2.0.0); its state is {@link FloatLogSliderState}. */
export const FloatLogSlider = defineControl<FloatLogSliderState>({
  name: "FloatLogSlider",
  modelName: "FloatLogSliderModel", modelModule: "@jupyter-widgets/controls", modelModuleVersion: "2.0.0",
  viewName: "FloatLogSliderView", viewModule: "@jupyter-widgets/controls", viewModuleVersion: "2.0.0",
  traits: {
    _dom_classes: { kind: "strings", default: [] },
    base: { kind: "float", default: 10 },
    behavior: { kind: "string", default: "drag-tap", oneOf: ["drag-tap","drag-snap","tap","drag","snap"] },
    continuous_update: { kind: "bool", default: true },
    description: { kind: "string", default: "" },
    description_allow_html: { kind: "bool", default: false },
    disabled: { kind: "bool", default: false },
    layout: { kind: "widget", default: () => new Layout() },
    max: { kind: "float", default: 4 },
    min: { kind: "float", default: 0 },
    orientation: { kind: "string", default: "horizontal", oneOf: ["horizontal","vertical"] },
    readout: { kind: "bool", default: true },
    readout_format: { kind: "string", default: ".3g" },
    step: { kind: "float", default: 0.1, nullable: true },
    style: { kind: "widget", default: () => new SliderStyle() },
    tabbable: { kind: "bool", default: null, nullable: true },
    tooltip: { kind: "string", default: null, nullable: true },
    value: { kind: "float", default: 1 },
    _view_count: { kind: "int", default: null, nullable: true },
  },
});
/** Stock control FloatLogSlider (@jupyter-widgets/controls 2.0.0); its state is {@link FloatLogSliderState}. */
export type FloatLogSlider = Control<FloatLogSliderState>;

/** State of FloatProgress (@jupyter-widgets/controls 2.0.0). */
export interface FloatProgressState {
  /** CSS classes applied to widget DOM element */
  _dom_classes: readonly string[];
  /** Use a predefined styling for the progress bar. */
  bar_style: "success" | "info" | "warning" | "danger" | "" | null;
  /** Description of the control. */
  description: string;
  /** Accept HTML in the description. */
  description_allow_html: boolean;
  /** CSS of the box around it. */
  layout: Layout;
  /** Max value */
  max: number;
  /** Min value */
  min: number;
  /** Vertical or horizontal. */
  orientation: "horizontal" | "vertical";
  /** Colours and sizes of its parts. */
  style: ProgressStyle;
  /** Is widget tabbable? */
  tabbable: boolean | null;
  /** A tooltip caption. */
  tooltip: string | null;
  /** Float value */
  value: number;
  /** How many views show it; null: not counted. */
  _view_count: number | null;
}

/** Stock control FloatProgress (@jupyter-widgets/controls 2.0.0); its state is {@link FloatProgressState}. */
export const FloatProgress = defineControl<FloatProgressState>({
  name: "FloatProgress",
  modelName: "FloatProgressModel", modelModule: "@jupyter-widgets/controls", modelModuleVersion: "2.0.0",
  viewName: "ProgressView", viewModule: "@jupyter-widgets/controls", viewModuleVersion: "2.0.0",
  traits: {
    _dom_classes: { kind: "strings", default: [] },
    bar_style: { kind: "string", default: "", nullable: true, oneOf: ["success","info","warning","danger",""] },
    description: { kind: "string", default: "" },
    description_allow_html: { kind: "bool", default: false },
    layout: { kind: "widget", default: () => new Layout() },
    max: { kind: "float", default: 100 },
    min: { kind: "float", default: 0 },
    orientation: { kind: "string", default: "horizontal", oneOf: ["horizontal","vertical"] },
    style: { kind: "widget", default: () => new ProgressStyle() },
    tabbable: { kind: "bool", default: null, nullable: true },
    tooltip: { kind: "string", default: null, nullable: true },
    value: { kind: "float", default: 0 },
    _view_count: { kind: "int", default: null, nullable: true },
  },
});
/** Stock control FloatProgress (@jupyter-widgets/controls 2.0.0); its state is {@link FloatProgressState}. */
export type FloatProgress = Control<FloatProgressState>;

/** State of FloatRangeSlider (@jupyter-widgets/controls 2.0.0). */
export interface FloatRangeSliderState {
  /** CSS classes applied to widget DOM element */
  _dom_classes: readonly string[];
  /** Slider dragging behavior. */
  behavior: "drag-tap" | "drag-snap" | "tap" | "drag" | "snap";
  /** Update the value of the widget as the user is sliding the slider. */
  continuous_update: boolean;
  /** Description of the control. */
  description: string;
  /** Accept HTML in the description. */
  description_allow_html: boolean;
  /** Enable or disable user changes */
  disabled: boolean;
  /** CSS of the box around it. */
  layout: Layout;
  /** Max value */
  max: number;
  /** Min value */
  min: number;
  /** Vertical or horizontal. */
  orientation: "horizontal" | "vertical";
  /** Display the current value of the slider next to it. */
  readout: boolean;
  /** Format for the readout */
  readout_format: string;
  /** Minimum step to increment the value */
  step: number | null;
  /** Colours and sizes of its parts. */
  style: SliderStyle;
  /** Is widget tabbable? */
  tabbable: boolean | null;
  /** A tooltip caption. */
  tooltip: string | null;
  /** Tuple of (lower, upper) bounds */
  value: readonly [number, number];
  /** How many views show it; null: not counted. */
  _view_count: number | null;
}

/** Stock control FloatRangeSlider (@jupyter-widgets/controls 2.0.0); its state is {@link FloatRangeSliderState}. */
export const FloatRangeSlider = defineControl<FloatRangeSliderState>({
  name: "FloatRangeSlider",
  modelName: "FloatRangeSliderModel", modelModule: "@jupyter-widgets/controls", modelModuleVersion: "2.0.0",
  viewName: "FloatRangeSliderView", viewModule: "@jupyter-widgets/controls", viewModuleVersion: "2.0.0",
  traits: {
    _dom_classes: { kind: "strings", default: [] },
    behavior: { kind: "string", default: "drag-tap", oneOf: ["drag-tap","drag-snap","tap","drag","snap"] },
    continuous_update: { kind: "bool", default: true },
    description: { kind: "string", default: "" },
    description_allow_html: { kind: "bool", default: false },
    disabled: { kind: "bool", default: false },
    layout: { kind: "widget", default: () => new Layout() },
    max: { kind: "float", default: 100 },
    min: { kind: "float", default: 0 },
    orientation: { kind: "string", default: "horizontal", oneOf: ["horizontal","vertical"] },
    readout: { kind: "bool", default: true },
    readout_format: { kind: "string", default: ".2f" },
    step: { kind: "float", default: 0.1, nullable: true },
    style: { kind: "widget", default: () => new SliderStyle() },
    tabbable: { kind: "bool", default: null, nullable: true },
    tooltip: { kind: "string", default: null, nullable: true },
    value: { kind: "floatRange", default: [25,75] },
    _view_count: { kind: "int", default: null, nullable: true },
  },
});
/** Stock control FloatRangeSlider (@jupyter-widgets/controls 2.0.0); its state is {@link FloatRangeSliderState}. */
export type FloatRangeSlider = Control<FloatRangeSliderState>;

/** State of FloatSlider (@jupyter-widgets/controls 2.0.0). */
export interface FloatSliderState {
  /** CSS classes applied to widget DOM element */
  _dom_classes: readonly string[];
  /** Slider dragging behavior. */
  behavior: "drag-tap" | "drag-snap" | "tap" | "drag" | "snap";
  /** Update the value of the widget as the user is holding the slider. */
  continuous_update: boolean;
  /** Description of the control. */
  description: string;
  /** Accept HTML in the description. */
  description_allow_html: boolean;
  /** Enable or disable user changes */
  disabled: boolean;
  /** CSS of the box around it. */
  layout: Layout;
  /** Max value */
  max: number;
  /** Min value */
  min: number;
  /** Vertical or horizontal. */
  orientation: "horizontal" | "vertical";
  /** Display the current value of the slider next to it. */
  readout: boolean;
  /** Format for the readout */
  readout_format: string;
  /** Minimum step to increment the value */
  step: number | null;
  /** Colours and sizes of its parts. */
  style: SliderStyle;
  /** Is widget tabbable? */
  tabbable: boolean | null;
  /** A tooltip caption. */
  tooltip: string | null;
  /** Float value */
  value: number;
  /** How many views show it; null: not counted. */
  _view_count: number | null;
}

/** Stock control FloatSlider (@jupyter-widgets/controls 2.0.0); its state is {@link FloatSliderState}. */
export const FloatSlider = defineControl<FloatSliderState>({
  name: "FloatSlider",
  modelName: "FloatSliderModel", modelModule: "@jupyter-widgets/controls", modelModuleVersion: "2.0.0",
  viewName: "FloatSliderView", viewModule: "@jupyter-widgets/controls", viewModuleVersion: "2.0.0",
  traits: {
    _dom_classes: { kind: "strings", default: [] },
    behavior: { kind: "string", default: "drag-tap", oneOf: ["drag-tap","drag-snap","tap","drag","snap"] },
    continuous_update: { kind: "bool", default: true },
    description: { kind: "string", default: "" },
    description_allow_html: { kind: "bool", default: false },
    disabled: { kind: "bool", default: false },
    layout: { kind: "widget", default: () => new Layout() },
    max: { kind: "float", default: 100 },
    min: { kind: "float", default: 0 },
    orientation: { kind: "string", default: "horizontal", oneOf: ["horizontal","vertical"] },
    readout: { kind: "bool", default: true },
    readout_format: { kind: "string", default: ".2f" },
    step: { kind: "float", default: 0.1, nullable: true },
    style: { kind: "widget", default: () => new SliderStyle() },
    tabbable: { kind: "bool", default: null, nullable: true },
    tooltip: { kind: "string", default: null, nullable: true },
    value: { kind: "float", default: 0 },
    _view_count: { kind: "int", default: null, nullable: true },
  },
});
/** Stock control FloatSlider (@jupyter-widgets/controls 2.0.0); its state is {@link FloatSliderState}. */
export type FloatSlider = Control<FloatSliderState>;

/** State of FloatText (@jupyter-widgets/controls 2.0.0). */
export interface FloatTextState {
  /** CSS classes applied to widget DOM element */
  _dom_classes: readonly string[];
  /** Update the value as the user types. If False, update on submission, e.g., pressing Enter or navigating away. */
  continuous_update: boolean;
  /** Description of the control. */
  description: string;
  /** Accept HTML in the description. */
  description_allow_html: boolean;
  /** Enable or disable user changes */
  disabled: boolean;
  /** CSS of the box around it. */
  layout: Layout;
  /** Minimum step to increment the value */
  step: number | null;
  /** Styling customizations */
  style: DescriptionStyle;
  /** Is widget tabbable? */
  tabbable: boolean | null;
  /** A tooltip caption. */
  tooltip: string | null;
  /** Float value */
  value: number;
  /** How many views show it; null: not counted. */
  _view_count: number | null;
}

/** Stock control FloatText (@jupyter-widgets/controls 2.0.0); its state is {@link FloatTextState}. */
export const FloatText = defineControl<FloatTextState>({
  name: "FloatText",
  modelName: "FloatTextModel", modelModule: "@jupyter-widgets/controls", modelModuleVersion: "2.0.0",
  viewName: "FloatTextView", viewModule: "@jupyter-widgets/controls", viewModuleVersion: "2.0.0",
  traits: {
    _dom_classes: { kind: "strings", default: [] },
    continuous_update: { kind: "bool", default: false },
    description: { kind: "string", default: "" },
    description_allow_html: { kind: "bool", default: false },
    disabled: { kind: "bool", default: false },
    layout: { kind: "widget", default: () => new Layout() },
    step: { kind: "float", default: null, nullable: true },
    style: { kind: "widget", default: () => new DescriptionStyle() },
    tabbable: { kind: "bool", default: null, nullable: true },
    tooltip: { kind: "string", default: null, nullable: true },
    value: { kind: "float", default: 0 },
    _view_count: { kind: "int", default: null, nullable: true },
  },
});
/** Stock control FloatText (@jupyter-widgets/controls 2.0.0); its state is {@link FloatTextState}. */
export type FloatText = Control<FloatTextState>;

/** State of FloatsInput (@jupyter-widgets/controls 2.0.0). */
export interface FloatsInputState {
  /** CSS classes applied to widget DOM element */
  _dom_classes: readonly string[];
  /** Whether a tag can be there twice. */
  allow_duplicates: boolean;
  /** Tags that can be chosen; empty: any. */
  allowed_tags: readonly number[];
  /** Description of the control. */
  description: string;
  /** Accept HTML in the description. */
  description_allow_html: boolean;
  /** How numbers are written, by d3-format. */
  format: string;
  /** CSS of the box around it. */
  layout: Layout;
  /** The largest value. */
  max: number | null;
  /** The smallest value. */
  min: number | null;
  /** Shown while it is empty. */
  placeholder: string;
  /** Styling customizations */
  style: DescriptionStyle;
  /** Is widget tabbable? */
  tabbable: boolean | null;
  /** Use a predefined styling for the tags. */
  tag_style: "primary" | "success" | "info" | "warning" | "danger" | "";
  /** A tooltip caption. */
  tooltip: string | null;
  /** List of float tags */
  value: readonly number[];
  /** How many views show it; null: not counted. */
  _view_count: number | null;
}

/** Stock control FloatsInput (@jupyter-widgets/controls 2.0.0); its state is {@link FloatsInputState}. */
export const FloatsInput = defineControl<FloatsInputState>({
  name: "FloatsInput",
  modelName: "FloatsInputModel", modelModule: "@jupyter-widgets/controls", modelModuleVersion: "2.0.0",
  viewName: "FloatsInputView", viewModule: "@jupyter-widgets/controls", viewModuleVersion: "2.0.0",
  traits: {
    _dom_classes: { kind: "strings", default: [] },
    allow_duplicates: { kind: "bool", default: true },
    allowed_tags: { kind: "floats", default: [] },
    description: { kind: "string", default: "" },
    description_allow_html: { kind: "bool", default: false },
    format: { kind: "string", default: ".1f" },
    layout: { kind: "widget", default: () => new Layout() },
    max: { kind: "float", default: null, nullable: true },
    min: { kind: "float", default: null, nullable: true },
    placeholder: { kind: "string", default: "​" },
    style: { kind: "widget", default: () => new DescriptionStyle() },
    tabbable: { kind: "bool", default: null, nullable: true },
    tag_style: { kind: "string", default: "", oneOf: ["primary","success","info","warning","danger",""] },
    tooltip: { kind: "string", default: null, nullable: true },
    value: { kind: "floats", default: [] },
    _view_count: { kind: "int", default: null, nullable: true },
  },
});
/** Stock control FloatsInput (@jupyter-widgets/controls 2.0.0); its state is {@link FloatsInputState}. */
export type FloatsInput = Control<FloatsInputState>;

/** State of GridBox (@jupyter-widgets/controls 2.0.0). */
export interface GridBoxState {
  /** CSS classes applied to widget DOM element */
  _dom_classes: readonly string[];
  /** Use a predefined styling for the box. */
  box_style: "success" | "info" | "warning" | "danger" | "";
  /** List of widget children */
  children: readonly RegisteredWidget[];
  /** CSS of the box around it. */
  layout: Layout;
  /** Is widget tabbable? */
  tabbable: boolean | null;
  /** A tooltip caption. */
  tooltip: string | null;
  /** How many views show it; null: not counted. */
  _view_count: number | null;
}

/** Stock control GridBox (@jupyter-widgets/controls 2.0.0); its state is {@link GridBoxState}. */
export const GridBox = defineControl<GridBoxState>({
  name: "GridBox",
  modelName: "GridBoxModel", modelModule: "@jupyter-widgets/controls", modelModuleVersion: "2.0.0",
  viewName: "GridBoxView", viewModule: "@jupyter-widgets/controls", viewModuleVersion: "2.0.0",
  traits: {
    _dom_classes: { kind: "strings", default: [] },
    box_style: { kind: "string", default: "", oneOf: ["success","info","warning","danger",""] },
    children: { kind: "widgets", default: [] },
    layout: { kind: "widget", default: () => new Layout() },
    tabbable: { kind: "bool", default: null, nullable: true },
    tooltip: { kind: "string", default: null, nullable: true },
    _view_count: { kind: "int", default: null, nullable: true },
  },
});
/** Stock control GridBox (@jupyter-widgets/controls 2.0.0); its state is {@link GridBoxState}. */
export type GridBox = Control<GridBoxState>;

/** State of HBox (@jupyter-widgets/controls 2.0.0). */
export interface HBoxState {
  /** CSS classes applied to widget DOM element */
  _dom_classes: readonly string[];
  /** Use a predefined styling for the box. */
  box_style: "success" | "info" | "warning" | "danger" | "";
  /** List of widget children */
  children: readonly RegisteredWidget[];
  /** CSS of the box around it. */
  layout: Layout;
  /** Is widget tabbable? */
  tabbable: boolean | null;
  /** A tooltip caption. */
  tooltip: string | null;
  /** How many views show it; null: not counted. */
  _view_count: number | null;
}

/** Stock control HBox (@jupyter-widgets/controls 2.0.0); its state is {@link HBoxState}. */
export const HBox = defineControl<HBoxState>({
  name: "HBox",
  modelName: "HBoxModel", modelModule: "@jupyter-widgets/controls", modelModuleVersion: "2.0.0",
  viewName: "HBoxView", viewModule: "@jupyter-widgets/controls", viewModuleVersion: "2.0.0",
  traits: {
    _dom_classes: { kind: "strings", default: [] },
    box_style: { kind: "string", default: "", oneOf: ["success","info","warning","danger",""] },
    children: { kind: "widgets", default: [] },
    layout: { kind: "widget", default: () => new Layout() },
    tabbable: { kind: "bool", default: null, nullable: true },
    tooltip: { kind: "string", default: null, nullable: true },
    _view_count: { kind: "int", default: null, nullable: true },
  },
});
/** Stock control HBox (@jupyter-widgets/controls 2.0.0); its state is {@link HBoxState}. */
export type HBox = Control<HBoxState>;

/** State of HTMLMath (@jupyter-widgets/controls 2.0.0). */
export interface HTMLMathState {
  /** CSS classes applied to widget DOM element */
  _dom_classes: readonly string[];
  /** Description of the control. */
  description: string;
  /** Accept HTML in the description. */
  description_allow_html: boolean;
  /** CSS of the box around it. */
  layout: Layout;
  /** Placeholder text to display when nothing has been typed */
  placeholder: string;
  /** Colours and sizes of its parts. */
  style: HTMLMathStyle;
  /** Is widget tabbable? */
  tabbable: boolean | null;
  /** A tooltip caption. */
  tooltip: string | null;
  /** String value */
  value: string;
  /** How many views show it; null: not counted. */
  _view_count: number | null;
}

/** Stock control HTMLMath (@jupyter-widgets/controls 2.0.0); its state is {@link HTMLMathState}. */
export const HTMLMath = defineControl<HTMLMathState>({
  name: "HTMLMath",
  modelName: "HTMLMathModel", modelModule: "@jupyter-widgets/controls", modelModuleVersion: "2.0.0",
  viewName: "HTMLMathView", viewModule: "@jupyter-widgets/controls", viewModuleVersion: "2.0.0",
  traits: {
    _dom_classes: { kind: "strings", default: [] },
    description: { kind: "string", default: "" },
    description_allow_html: { kind: "bool", default: false },
    layout: { kind: "widget", default: () => new Layout() },
    placeholder: { kind: "string", default: "​" },
    style: { kind: "widget", default: () => new HTMLMathStyle() },
    tabbable: { kind: "bool", default: null, nullable: true },
    tooltip: { kind: "string", default: null, nullable: true },
    value: { kind: "string", default: "" },
    _view_count: { kind: "int", default: null, nullable: true },
  },
});
/** Stock control HTMLMath (@jupyter-widgets/controls 2.0.0); its state is {@link HTMLMathState}. */
export type HTMLMath = Control<HTMLMathState>;

/** State of HTMLMathStyle (@jupyter-widgets/controls 2.0.0). */
export interface HTMLMathStyleState {
  /** Background specifications. */
  background: string | null;
  /** Width of the description to the side of the control. */
  description_width: string;
  /** Text font size. */
  font_size: string | null;
  /** Text color */
  text_color: string | null;
  /** How many views show it; null: not counted. */
  _view_count: number | null;
}

/** Stock control HTMLMathStyle (@jupyter-widgets/controls 2.0.0); its state is {@link HTMLMathStyleState}. */
export const HTMLMathStyle = defineControl<HTMLMathStyleState>({
  name: "HTMLMathStyle",
  modelName: "HTMLMathStyleModel", modelModule: "@jupyter-widgets/controls", modelModuleVersion: "2.0.0",
  viewName: "StyleView", viewModule: "@jupyter-widgets/base", viewModuleVersion: "2.0.0",
  traits: {
    background: { kind: "string", default: null, nullable: true },
    description_width: { kind: "string", default: "" },
    font_size: { kind: "string", default: null, nullable: true },
    text_color: { kind: "string", default: null, nullable: true },
    _view_count: { kind: "int", default: null, nullable: true },
  },
});
/** Stock control HTMLMathStyle (@jupyter-widgets/controls 2.0.0); its state is {@link HTMLMathStyleState}. */
export type HTMLMathStyle = Control<HTMLMathStyleState>;

/** State of HTML (@jupyter-widgets/controls 2.0.0). */
export interface HTMLState {
  /** CSS classes applied to widget DOM element */
  _dom_classes: readonly string[];
  /** Description of the control. */
  description: string;
  /** Accept HTML in the description. */
  description_allow_html: boolean;
  /** CSS of the box around it. */
  layout: Layout;
  /** Placeholder text to display when nothing has been typed */
  placeholder: string;
  /** Colours and sizes of its parts. */
  style: HTMLStyle;
  /** Is widget tabbable? */
  tabbable: boolean | null;
  /** A tooltip caption. */
  tooltip: string | null;
  /** String value */
  value: string;
  /** How many views show it; null: not counted. */
  _view_count: number | null;
}

/** Stock control HTML (@jupyter-widgets/controls 2.0.0); its state is {@link HTMLState}. */
export const HTML = defineControl<HTMLState>({
  name: "HTML",
  modelName: "HTMLModel", modelModule: "@jupyter-widgets/controls", modelModuleVersion: "2.0.0",
  viewName: "HTMLView", viewModule: "@jupyter-widgets/controls", viewModuleVersion: "2.0.0",
  traits: {
    _dom_classes: { kind: "strings", default: [] },
    description: { kind: "string", default: "" },
    description_allow_html: { kind: "bool", default: false },
    layout: { kind: "widget", default: () => new Layout() },
    placeholder: { kind: "string", default: "​" },
    style: { kind: "widget", default: () => new HTMLStyle() },
    tabbable: { kind: "bool", default: null, nullable: true },
    tooltip: { kind: "string", default: null, nullable: true },
    value: { kind: "string", default: "" },
    _view_count: { kind: "int", default: null, nullable: true },
  },
});
/** Stock control HTML (@jupyter-widgets/controls 2.0.0); its state is {@link HTMLState}. */
export type HTML = Control<HTMLState>;

/** State of HTMLStyle (@jupyter-widgets/controls 2.0.0). */
export interface HTMLStyleState {
  /** Background specifications. */
  background: string | null;
  /** Width of the description to the side of the control. */
  description_width: string;
  /** Text font size. */
  font_size: string | null;
  /** Text color */
  text_color: string | null;
  /** How many views show it; null: not counted. */
  _view_count: number | null;
}

/** Stock control HTMLStyle (@jupyter-widgets/controls 2.0.0); its state is {@link HTMLStyleState}. */
export const HTMLStyle = defineControl<HTMLStyleState>({
  name: "HTMLStyle",
  modelName: "HTMLStyleModel", modelModule: "@jupyter-widgets/controls", modelModuleVersion: "2.0.0",
  viewName: "StyleView", viewModule: "@jupyter-widgets/base", viewModuleVersion: "2.0.0",
  traits: {
    background: { kind: "string", default: null, nullable: true },
    description_width: { kind: "string", default: "" },
    font_size: { kind: "string", default: null, nullable: true },
    text_color: { kind: "string", default: null, nullable: true },
    _view_count: { kind: "int", default: null, nullable: true },
  },
});
/** Stock control HTMLStyle (@jupyter-widgets/controls 2.0.0); its state is {@link HTMLStyleState}. */
export type HTMLStyle = Control<HTMLStyleState>;

/** State of Image (@jupyter-widgets/controls 2.0.0). */
export interface ImageState {
  /** CSS classes applied to widget DOM element */
  _dom_classes: readonly string[];
  /** The format of the image. */
  format: string;
  /** Height of the image in pixels. Use layout.height for styling the widget. */
  height: string;
  /** CSS of the box around it. */
  layout: Layout;
  /** Is widget tabbable? */
  tabbable: boolean | null;
  /** A tooltip caption. */
  tooltip: string | null;
  /** The media data as a memory view of bytes. */
  value: Uint8Array;
  /** Width of the image in pixels. Use layout.width for styling the widget. */
  width: string;
  /** How many views show it; null: not counted. */
  _view_count: number | null;
}

/** Stock control Image (@jupyter-widgets/controls 2.0.0); its state is {@link ImageState}. */
export const Image = defineControl<ImageState>({
  name: "Image",
  modelName: "ImageModel", modelModule: "@jupyter-widgets/controls", modelModuleVersion: "2.0.0",
  viewName: "ImageView", viewModule: "@jupyter-widgets/controls", viewModuleVersion: "2.0.0",
  traits: {
    _dom_classes: { kind: "strings", default: [] },
    format: { kind: "string", default: "png" },
    height: { kind: "string", default: "" },
    layout: { kind: "widget", default: () => new Layout() },
    tabbable: { kind: "bool", default: null, nullable: true },
    tooltip: { kind: "string", default: null, nullable: true },
    value: { kind: "bytes", default: () => new Uint8Array(0) },
    width: { kind: "string", default: "" },
    _view_count: { kind: "int", default: null, nullable: true },
  },
});
/** Stock control Image (@jupyter-widgets/controls 2.0.0); its state is {@link ImageState}. */
export type Image = Control<ImageState>;

/** State of IntProgress (@jupyter-widgets/controls 2.0.0). */
export interface IntProgressState {
  /** CSS classes applied to widget DOM element */
  _dom_classes: readonly string[];
  /** Use a predefined styling for the progress bar. */
  bar_style: "success" | "info" | "warning" | "danger" | "";
  /** Description of the control. */
  description: string;
  /** Accept HTML in the description. */
  description_allow_html: boolean;
  /** CSS of the box around it. */
  layout: Layout;
  /** Max value */
  max: number;
  /** Min value */
  min: number;
  /** Vertical or horizontal. */
  orientation: "horizontal" | "vertical";
  /** Colours and sizes of its parts. */
  style: ProgressStyle;
  /** Is widget tabbable? */
  tabbable: boolean | null;
  /** A tooltip caption. */
  tooltip: string | null;
  /** Int value */
  value: number;
  /** How many views show it; null: not counted. */
  _view_count: number | null;
}

/** Stock control IntProgress (@jupyter-widgets/controls 2.0.0); its state is {@link IntProgressState}. */
export const IntProgress = defineControl<IntProgressState>({
  name: "IntProgress",
  modelName: "IntProgressModel", modelModule: "@jupyter-widgets/controls", modelModuleVersion: "2.0.0",
  viewName: "ProgressView", viewModule: "@jupyter-widgets/controls", viewModuleVersion: "2.0.0",
  traits: {
    _dom_classes: { kind: "strings", default: [] },
    bar_style: { kind: "string", default: "", oneOf: ["success","info","warning","danger",""] },
    description: { kind: "string", default: "" },
    description_allow_html: { kind: "bool", default: false },
    layout: { kind: "widget", default: () => new Layout() },
    max: { kind: "int", default: 100 },
    min: { kind: "int", default: 0 },
    orientation: { kind: "string", default: "horizontal", oneOf: ["horizontal","vertical"] },
    style: { kind: "widget", default: () => new ProgressStyle() },
    tabbable: { kind: "bool", default: null, nullable: true },
    tooltip: { kind: "string", default: null, nullable: true },
    value: { kind: "int", default: 0 },
    _view_count: { kind: "int", default: null, nullable: true },
  },
});
/** Stock control IntProgress (@jupyter-widgets/controls 2.0.0); its state is {@link IntProgressState}. */
export type IntProgress = Control<IntProgressState>;

/** State of IntRangeSlider (@jupyter-widgets/controls 2.0.0). */
export interface IntRangeSliderState {
  /** CSS classes applied to widget DOM element */
  _dom_classes: readonly string[];
  /** Slider dragging behavior. */
  behavior: "drag-tap" | "drag-snap" | "tap" | "drag" | "snap";
  /** Update the value of the widget as the user is sliding the slider. */
  continuous_update: boolean;
  /** Description of the control. */
  description: string;
  /** Accept HTML in the description. */
  description_allow_html: boolean;
  /** Enable or disable user changes */
  disabled: boolean;
  /** CSS of the box around it. */
  layout: Layout;
  /** Max value */
  max: number;
  /** Min value */
  min: number;
  /** Vertical or horizontal. */
  orientation: "horizontal" | "vertical";
  /** Display the current value of the slider next to it. */
  readout: boolean;
  /** Format for the readout */
  readout_format: string;
  /** Minimum step that the value can take */
  step: number;
  /** Slider style customizations. */
  style: SliderStyle;
  /** Is widget tabbable? */
  tabbable: boolean | null;
  /** A tooltip caption. */
  tooltip: string | null;
  /** Tuple of (lower, upper) bounds */
  value: readonly [number, number];
  /** How many views show it; null: not counted. */
  _view_count: number | null;
}

/** Stock control IntRangeSlider (@jupyter-widgets/controls 2.0.0); its state is {@link IntRangeSliderState}. */
export const IntRangeSlider = defineControl<IntRangeSliderState>({
  name: "IntRangeSlider",
  modelName: "IntRangeSliderModel", modelModule: "@jupyter-widgets/controls", modelModuleVersion: "2.0.0",
  viewName: "IntRangeSliderView", viewModule: "@jupyter-widgets/controls", viewModuleVersion: "2.0.0",
  traits: {
    _dom_classes: { kind: "strings", default: [] },
    behavior: { kind: "string", default: "drag-tap", oneOf: ["drag-tap","drag-snap","tap","drag","snap"] },
    continuous_update: { kind: "bool", default: true },
    description: { kind: "string", default: "" },
    description_allow_html: { kind: "bool", default: false },
    disabled: { kind: "bool", default: false },
    layout: { kind: "widget", default: () => new Layout() },
    max: { kind: "int", default: 100 },
    min: { kind: "int", default: 0 },
    orientation: { kind: "string", default: "horizontal", oneOf: ["horizontal","vertical"] },
    readout: { kind: "bool", default: true },
    readout_format: { kind: "string", default: "d" },
    step: { kind: "int", default: 1 },
    style: { kind: "widget", default: () => new SliderStyle() },
    tabbable: { kind: "bool", default: null, nullable: true },
    tooltip: { kind: "string", default: null, nullable: true },
    value: { kind: "intRange", default: [25,75] },
    _view_count: { kind: "int", default: null, nullable: true },
  },
});
/** Stock control IntRangeSlider (@jupyter-widgets/controls 2.0.0); its state is {@link IntRangeSliderState}. */
export type IntRangeSlider = Control<IntRangeSliderState>;

/** State of IntSlider (@jupyter-widgets/controls 2.0.0). */
export interface IntSliderState {
  /** CSS classes applied to widget DOM element */
  _dom_classes: readonly string[];
  /** Slider dragging behavior. */
  behavior: "drag-tap" | "drag-snap" | "tap" | "drag" | "snap";
  /** Update the value of the widget as the user is holding the slider. */
  continuous_update: boolean;
  /** Description of the control. */
  description: string;
  /** Accept HTML in the description. */
  description_allow_html: boolean;
  /** Enable or disable user changes */
  disabled: boolean;
  /** CSS of the box around it. */
  layout: Layout;
  /** Max value */
  max: number;
  /** Min value */
  min: number;
  /** Vertical or horizontal. */
  orientation: "horizontal" | "vertical";
  /** Display the current value of the slider next to it. */
  readout: boolean;
  /** Format for the readout */
  readout_format: string;
  /** Minimum step to increment the value */
  step: number;
  /** Colours and sizes of its parts. */
  style: SliderStyle;
  /** Is widget tabbable? */
  tabbable: boolean | null;
  /** A tooltip caption. */
  tooltip: string | null;
  /** Int value */
  value: number;
  /** How many views show it; null: not counted. */
  _view_count: number | null;
}

/** Stock control IntSlider (@jupyter-widgets/controls 2.0.0); its state is {@link IntSliderState}. */
export const IntSlider = defineControl<IntSliderState>({
  name: "IntSlider",
  modelName: "IntSliderModel", modelModule: "@jupyter-widgets/controls", modelModuleVersion: "2.0.0",
  viewName: "IntSliderView", viewModule: "@jupyter-widgets/controls", viewModuleVersion: "2.0.0",
  traits: {
    _dom_classes: { kind: "strings", default: [] },
    behavior: { kind: "string", default: "drag-tap", oneOf: ["drag-tap","drag-snap","tap","drag","snap"] },
    continuous_update: { kind: "bool", default: true },
    description: { kind: "string", default: "" },
    description_allow_html: { kind: "bool", default: false },
    disabled: { kind: "bool", default: false },
    layout: { kind: "widget", default: () => new Layout() },
    max: { kind: "int", default: 100 },
    min: { kind: "int", default: 0 },
    orientation: { kind: "string", default: "horizontal", oneOf: ["horizontal","vertical"] },
    readout: { kind: "bool", default: true },
    readout_format: { kind: "string", default: "d" },
    step: { kind: "int", default: 1 },
    style: { kind: "widget", default: () => new SliderStyle() },
    tabbable: { kind: "bool", default: null, nullable: true },
    tooltip: { kind: "string", default: null, nullable: true },
    value: { kind: "int", default: 0 },
    _view_count: { kind: "int", default: null, nullable: true },
  },
});
/** Stock control IntSlider (@jupyter-widgets/controls 2.0.0); its state is {@link IntSliderState}. */
export type IntSlider = Control<IntSliderState>;

/** State of IntText (@jupyter-widgets/controls 2.0.0). */
export interface IntTextState {
  /** CSS classes applied to widget DOM element */
  _dom_classes: readonly string[];
  /** Update the value as the user types. If False, update on submission, e.g., pressing Enter or navigating away. */
  continuous_update: boolean;
  /** Description of the control. */
  description: string;
  /** Accept HTML in the description. */
  description_allow_html: boolean;
  /** Enable or disable user changes */
  disabled: boolean;
  /** CSS of the box around it. */
  layout: Layout;
  /** Minimum step to increment the value */
  step: number;
  /** Styling customizations */
  style: DescriptionStyle;
  /** Is widget tabbable? */
  tabbable: boolean | null;
  /** A tooltip caption. */
  tooltip: string | null;
  /** Int value */
  value: number;
  /** How many views show it; null: not counted. */
  _view_count: number | null;
}

/** Stock control IntText (@jupyter-widgets/controls 2.0.0); its state is {@link IntTextState}. */
export const IntText = defineControl<IntTextState>({
  name: "IntText",
  modelName: "IntTextModel", modelModule: "@jupyter-widgets/controls", modelModuleVersion: "2.0.0",
  viewName: "IntTextView", viewModule: "@jupyter-widgets/controls", viewModuleVersion: "2.0.0",
  traits: {
    _dom_classes: { kind: "strings", default: [] },
    continuous_update: { kind: "bool", default: false },
    description: { kind: "string", default: "" },
    description_allow_html: { kind: "bool", default: false },
    disabled: { kind: "bool", default: false },
    layout: { kind: "widget", default: () => new Layout() },
    step: { kind: "int", default: 1 },
    style: { kind: "widget", default: () => new DescriptionStyle() },
    tabbable: { kind: "bool", default: null, nullable: true },
    tooltip: { kind: "string", default: null, nullable: true },
    value: { kind: "int", default: 0 },
    _view_count: { kind: "int", default: null, nullable: true },
  },
});
/** Stock control IntText (@jupyter-widgets/controls 2.0.0); its state is {@link IntTextState}. */
export type IntText = Control<IntTextState>;

/** State of IntsInput (@jupyter-widgets/controls 2.0.0). */
export interface IntsInputState {
  /** CSS classes applied to widget DOM element */
  _dom_classes: readonly string[];
  /** Whether a tag can be there twice. */
  allow_duplicates: boolean;
  /** Tags that can be chosen; empty: any. */
  allowed_tags: readonly number[];
  /** Description of the control. */
  description: string;
  /** Accept HTML in the description. */
  description_allow_html: boolean;
  /** How numbers are written, by d3-format. */
  format: string;
  /** CSS of the box around it. */
  layout: Layout;
  /** The largest value. */
  max: number | null;
  /** The smallest value. */
  min: number | null;
  /** Shown while it is empty. */
  placeholder: string;
  /** Styling customizations */
  style: DescriptionStyle;
  /** Is widget tabbable? */
  tabbable: boolean | null;
  /** Use a predefined styling for the tags. */
  tag_style: "primary" | "success" | "info" | "warning" | "danger" | "";
  /** A tooltip caption. */
  tooltip: string | null;
  /** List of int tags */
  value: readonly number[];
  /** How many views show it; null: not counted. */
  _view_count: number | null;
}

/** Stock control IntsInput (@jupyter-widgets/controls 2.0.0); its state is {@link IntsInputState}. */
export const IntsInput = defineControl<IntsInputState>({
  name: "IntsInput",
  modelName: "IntsInputModel", modelModule: "@jupyter-widgets/controls", modelModuleVersion: "2.0.0",
  viewName: "IntsInputView", viewModule: "@jupyter-widgets/controls", viewModuleVersion: "2.0.0",
  traits: {
    _dom_classes: { kind: "strings", default: [] },
    allow_duplicates: { kind: "bool", default: true },
    allowed_tags: { kind: "ints", default: [] },
    description: { kind: "string", default: "" },
    description_allow_html: { kind: "bool", default: false },
    format: { kind: "string", default: "d" },
    layout: { kind: "widget", default: () => new Layout() },
    max: { kind: "int", default: null, nullable: true },
    min: { kind: "int", default: null, nullable: true },
    placeholder: { kind: "string", default: "​" },
    style: { kind: "widget", default: () => new DescriptionStyle() },
    tabbable: { kind: "bool", default: null, nullable: true },
    tag_style: { kind: "string", default: "", oneOf: ["primary","success","info","warning","danger",""] },
    tooltip: { kind: "string", default: null, nullable: true },
    value: { kind: "ints", default: [] },
    _view_count: { kind: "int", default: null, nullable: true },
  },
});
/** Stock control IntsInput (@jupyter-widgets/controls 2.0.0); its state is {@link IntsInputState}. */
export type IntsInput = Control<IntsInputState>;

/** State of Label (@jupyter-widgets/controls 2.0.0). */
export interface LabelState {
  /** CSS classes applied to widget DOM element */
  _dom_classes: readonly string[];
  /** Description of the control. */
  description: string;
  /** Accept HTML in the description. */
  description_allow_html: boolean;
  /** CSS of the box around it. */
  layout: Layout;
  /** Placeholder text to display when nothing has been typed */
  placeholder: string;
  /** Colours and sizes of its parts. */
  style: LabelStyle;
  /** Is widget tabbable? */
  tabbable: boolean | null;
  /** A tooltip caption. */
  tooltip: string | null;
  /** String value */
  value: string;
  /** How many views show it; null: not counted. */
  _view_count: number | null;
}

/** Stock control Label (@jupyter-widgets/controls 2.0.0); its state is {@link LabelState}. */
export const Label = defineControl<LabelState>({
  name: "Label",
  modelName: "LabelModel", modelModule: "@jupyter-widgets/controls", modelModuleVersion: "2.0.0",
  viewName: "LabelView", viewModule: "@jupyter-widgets/controls", viewModuleVersion: "2.0.0",
  traits: {
    _dom_classes: { kind: "strings", default: [] },
    description: { kind: "string", default: "" },
    description_allow_html: { kind: "bool", default: false },
    layout: { kind: "widget", default: () => new Layout() },
    placeholder: { kind: "string", default: "​" },
    style: { kind: "widget", default: () => new LabelStyle() },
    tabbable: { kind: "bool", default: null, nullable: true },
    tooltip: { kind: "string", default: null, nullable: true },
    value: { kind: "string", default: "" },
    _view_count: { kind: "int", default: null, nullable: true },
  },
});
/** Stock control Label (@jupyter-widgets/controls 2.0.0); its state is {@link LabelState}. */
export type Label = Control<LabelState>;

/** State of LabelStyle (@jupyter-widgets/controls 2.0.0). */
export interface LabelStyleState {
  /** Background specifications. */
  background: string | null;
  /** Width of the description to the side of the control. */
  description_width: string;
  /** Label text font family. */
  font_family: string | null;
  /** Text font size. */
  font_size: string | null;
  /** Label text font style. */
  font_style: string | null;
  /** Label text font variant. */
  font_variant: string | null;
  /** Label text font weight. */
  font_weight: string | null;
  /** Text color */
  text_color: string | null;
  /** Label text decoration. */
  text_decoration: string | null;
  /** How many views show it; null: not counted. */
  _view_count: number | null;
}

/** Stock control LabelStyle (@jupyter-widgets/controls 2.0.0); its state is {@link LabelStyleState}. */
export const LabelStyle = defineControl<LabelStyleState>({
  name: "LabelStyle",
  modelName: "LabelStyleModel", modelModule: "@jupyter-widgets/controls", modelModuleVersion: "2.0.0",
  viewName: "StyleView", viewModule: "@jupyter-widgets/base", viewModuleVersion: "2.0.0",
  traits: {
    background: { kind: "string", default: null, nullable: true },
    description_width: { kind: "string", default: "" },
    font_family: { kind: "string", default: null, nullable: true },
    font_size: { kind: "string", default: null, nullable: true },
    font_style: { kind: "string", default: null, nullable: true },
    font_variant: { kind: "string", default: null, nullable: true },
    font_weight: { kind: "string", default: null, nullable: true },
    text_color: { kind: "string", default: null, nullable: true },
    text_decoration: { kind: "string", default: null, nullable: true },
    _view_count: { kind: "int", default: null, nullable: true },
  },
});
/** Stock control LabelStyle (@jupyter-widgets/controls 2.0.0); its state is {@link LabelStyleState}. */
export type LabelStyle = Control<LabelStyleState>;

/** State of Link (@jupyter-widgets/controls 2.0.0). */
export interface LinkState {
  /** The source (widget, 'trait_name') pair */
  source: LinkEnd;
  /** The target (widget, 'trait_name') pair */
  target: LinkEnd;
  /** How many views show it; null: not counted. */
  _view_count: number | null;
}

/** Stock control Link (@jupyter-widgets/controls 2.0.0); its state is {@link LinkState}. */
export const Link = defineControl<LinkState>({
  name: "Link",
  modelName: "LinkModel", modelModule: "@jupyter-widgets/controls", modelModuleVersion: "2.0.0",
  viewName: null, viewModule: "@jupyter-widgets/controls", viewModuleVersion: "2.0.0",
  traits: {
    source: { kind: "end", default: [] },
    target: { kind: "end", default: [] },
    _view_count: { kind: "int", default: null, nullable: true },
  },
});
/** Stock control Link (@jupyter-widgets/controls 2.0.0); its state is {@link LinkState}. */
export type Link = Control<LinkState>;

/** State of NaiveDatetimePicker (@jupyter-widgets/controls 2.0.0). */
export interface NaiveDatetimePickerState {
  /** CSS classes applied to widget DOM element */
  _dom_classes: readonly string[];
  /** Description of the control. */
  description: string;
  /** Accept HTML in the description. */
  description_allow_html: boolean;
  /** Enable or disable user changes. */
  disabled: boolean;
  /** CSS of the box around it. */
  layout: Layout;
  /** The largest value. */
  max: Date | null;
  /** The smallest value. */
  min: Date | null;
  /** Styling customizations */
  style: DescriptionStyle;
  /** Is widget tabbable? */
  tabbable: boolean | null;
  /** A tooltip caption. */
  tooltip: string | null;
  /** What the user has chosen or typed. */
  value: Date | null;
  /** How many views show it; null: not counted. */
  _view_count: number | null;
}

/** Stock control NaiveDatetimePicker (@jupyter-widgets/controls 2.0.0); its state is {@link NaiveDatetimePickerState}. */
export const NaiveDatetimePicker = defineControl<NaiveDatetimePickerState>({
  name: "NaiveDatetimePicker",
  modelName: "NaiveDatetimeModel", modelModule: "@jupyter-widgets/controls", modelModuleVersion: "2.0.0",
  viewName: "DatetimeView", viewModule: "@jupyter-widgets/controls", viewModuleVersion: "2.0.0",
  traits: {
    _dom_classes: { kind: "strings", default: [] },
    description: { kind: "string", default: "" },
    description_allow_html: { kind: "bool", default: false },
    disabled: { kind: "bool", default: false },
    layout: { kind: "widget", default: () => new Layout() },
    max: { kind: "Datetime", default: null, nullable: true },
    min: { kind: "Datetime", default: null, nullable: true },
    style: { kind: "widget", default: () => new DescriptionStyle() },
    tabbable: { kind: "bool", default: null, nullable: true },
    tooltip: { kind: "string", default: null, nullable: true },
    value: { kind: "Datetime", default: null, nullable: true },
    _view_count: { kind: "int", default: null, nullable: true },
  },
});
/** Stock control NaiveDatetimePicker (@jupyter-widgets/controls 2.0.0); its state is {@link NaiveDatetimePickerState}. */
export type NaiveDatetimePicker = Control<NaiveDatetimePickerState>;

/** State of Password (@jupyter-widgets/controls 2.0.0). */
export interface PasswordState {
  /** CSS classes applied to widget DOM element */
  _dom_classes: readonly string[];
  /** Update the value as the user types. If False, update on submission, e.g., pressing Enter or navigating away. */
  continuous_update: boolean;
  /** Description of the control. */
  description: string;
  /** Accept HTML in the description. */
  description_allow_html: boolean;
  /** Enable or disable user changes */
  disabled: boolean;
  /** CSS of the box around it. */
  layout: Layout;
  /** Placeholder text to display when nothing has been typed */
  placeholder: string;
  /** Colours and sizes of its parts. */
  style: TextStyle;
  /** Is widget tabbable? */
  tabbable: boolean | null;
  /** A tooltip caption. */
  tooltip: string | null;
  /** String value */
  value: string;
  /** How many views show it; null: not counted. */
  _view_count: number | null;
}

/** Stock control Password (@jupyter-widgets/controls 2.0.0); its state is {@link PasswordState}. */
export const Password = defineControl<PasswordState, SubmitEvents>({
  name: "Password",
  modelName: "PasswordModel", modelModule: "@jupyter-widgets/controls", modelModuleVersion: "2.0.0",
  viewName: "PasswordView", viewModule: "@jupyter-widgets/controls", viewModuleVersion: "2.0.0",
  traits: {
    _dom_classes: { kind: "strings", default: [] },
    continuous_update: { kind: "bool", default: true },
    description: { kind: "string", default: "" },
    description_allow_html: { kind: "bool", default: false },
    disabled: { kind: "bool", default: false },
    layout: { kind: "widget", default: () => new Layout() },
    placeholder: { kind: "string", default: "​" },
    style: { kind: "widget", default: () => new TextStyle() },
    tabbable: { kind: "bool", default: null, nullable: true },
    tooltip: { kind: "string", default: null, nullable: true },
    value: { kind: "string", default: "" },
    _view_count: { kind: "int", default: null, nullable: true },
  },
});
/** Stock control Password (@jupyter-widgets/controls 2.0.0); its state is {@link PasswordState}. */
export type Password = Control<PasswordState, SubmitEvents>;

/** State of Play (@jupyter-widgets/controls 2.0.0). */
export interface PlayState {
  /** CSS classes applied to widget DOM element */
  _dom_classes: readonly string[];
  /** Description of the control. */
  description: string;
  /** Accept HTML in the description. */
  description_allow_html: boolean;
  /** Enable or disable user changes */
  disabled: boolean;
  /** The time between two animation steps (ms). */
  interval: number;
  /** CSS of the box around it. */
  layout: Layout;
  /** Max value */
  max: number;
  /** Min value */
  min: number;
  /** Whether the control is currently playing. */
  playing: boolean;
  /** Whether the control will repeat in a continuous loop. */
  repeat: boolean;
  /** Show the repeat toggle button in the widget. */
  show_repeat: boolean;
  /** Increment step */
  step: number;
  /** Styling customizations */
  style: DescriptionStyle;
  /** Is widget tabbable? */
  tabbable: boolean | null;
  /** A tooltip caption. */
  tooltip: string | null;
  /** Int value */
  value: number;
  /** How many views show it; null: not counted. */
  _view_count: number | null;
}

/** Stock control Play (@jupyter-widgets/controls 2.0.0); its state is {@link PlayState}. */
export const Play = defineControl<PlayState>({
  name: "Play",
  modelName: "PlayModel", modelModule: "@jupyter-widgets/controls", modelModuleVersion: "2.0.0",
  viewName: "PlayView", viewModule: "@jupyter-widgets/controls", viewModuleVersion: "2.0.0",
  traits: {
    _dom_classes: { kind: "strings", default: [] },
    description: { kind: "string", default: "" },
    description_allow_html: { kind: "bool", default: false },
    disabled: { kind: "bool", default: false },
    interval: { kind: "int", default: 100 },
    layout: { kind: "widget", default: () => new Layout() },
    max: { kind: "int", default: 100 },
    min: { kind: "int", default: 0 },
    playing: { kind: "bool", default: false },
    repeat: { kind: "bool", default: false },
    show_repeat: { kind: "bool", default: true },
    step: { kind: "int", default: 1 },
    style: { kind: "widget", default: () => new DescriptionStyle() },
    tabbable: { kind: "bool", default: null, nullable: true },
    tooltip: { kind: "string", default: null, nullable: true },
    value: { kind: "int", default: 0 },
    _view_count: { kind: "int", default: null, nullable: true },
  },
});
/** Stock control Play (@jupyter-widgets/controls 2.0.0); its state is {@link PlayState}. */
export type Play = Control<PlayState>;

/** State of ProgressStyle (@jupyter-widgets/controls 2.0.0). */
export interface ProgressStyleState {
  /** Color of the progress bar. */
  bar_color: string | null;
  /** Width of the description to the side of the control. */
  description_width: string;
  /** How many views show it; null: not counted. */
  _view_count: number | null;
}

/** Stock control ProgressStyle (@jupyter-widgets/controls 2.0.0); its state is {@link ProgressStyleState}. */
export const ProgressStyle = defineControl<ProgressStyleState>({
  name: "ProgressStyle",
  modelName: "ProgressStyleModel", modelModule: "@jupyter-widgets/controls", modelModuleVersion: "2.0.0",
  viewName: "StyleView", viewModule: "@jupyter-widgets/base", viewModuleVersion: "2.0.0",
  traits: {
    bar_color: { kind: "string", default: null, nullable: true },
    description_width: { kind: "string", default: "" },
    _view_count: { kind: "int", default: null, nullable: true },
  },
});
/** Stock control ProgressStyle (@jupyter-widgets/controls 2.0.0); its state is {@link ProgressStyleState}. */
export type ProgressStyle = Control<ProgressStyleState>;

/** State of RadioButtons (@jupyter-widgets/controls 2.0.0). */
export interface RadioButtonsState {
  /** CSS classes applied to widget DOM element */
  _dom_classes: readonly string[];
  /** The labels for the options. */
  _options_labels: readonly string[];
  /** Description of the control. */
  description: string;
  /** Accept HTML in the description. */
  description_allow_html: boolean;
  /** Enable or disable user changes */
  disabled: boolean;
  /** Selected index */
  index: number | null;
  /** CSS of the box around it. */
  layout: Layout;
  /** Vertical or horizontal. */
  orientation: "horizontal" | "vertical";
  /** Styling customizations */
  style: DescriptionStyle;
  /** Is widget tabbable? */
  tabbable: boolean | null;
  /** A tooltip caption. */
  tooltip: string | null;
  /** How many views show it; null: not counted. */
  _view_count: number | null;
}

/** Stock control RadioButtons (@jupyter-widgets/controls 2.0.0); its state is {@link RadioButtonsState}. */
export const RadioButtons = defineSelection<RadioButtonsState>({
  name: "RadioButtons",
  modelName: "RadioButtonsModel", modelModule: "@jupyter-widgets/controls", modelModuleVersion: "2.0.0",
  viewName: "RadioButtonsView", viewModule: "@jupyter-widgets/controls", viewModuleVersion: "2.0.0",
  traits: {
    _dom_classes: { kind: "strings", default: [] },
    _options_labels: { kind: "strings", default: [] },
    description: { kind: "string", default: "" },
    description_allow_html: { kind: "bool", default: false },
    disabled: { kind: "bool", default: false },
    index: { kind: "int", default: null, nullable: true },
    layout: { kind: "widget", default: () => new Layout() },
    orientation: { kind: "string", default: "vertical", oneOf: ["horizontal","vertical"] },
    style: { kind: "widget", default: () => new DescriptionStyle() },
    tabbable: { kind: "bool", default: null, nullable: true },
    tooltip: { kind: "string", default: null, nullable: true },
    _view_count: { kind: "int", default: null, nullable: true },
  },
});
/** Stock control RadioButtons (@jupyter-widgets/controls 2.0.0); its state is {@link RadioButtonsState}. */
export type RadioButtons<V = string> = Selection<RadioButtonsState, V>;

/** State of Select (@jupyter-widgets/controls 2.0.0). */
export interface SelectState {
  /** CSS classes applied to widget DOM element */
  _dom_classes: readonly string[];
  /** The labels for the options. */
  _options_labels: readonly string[];
  /** Description of the control. */
  description: string;
  /** Accept HTML in the description. */
  description_allow_html: boolean;
  /** Enable or disable user changes */
  disabled: boolean;
  /** Selected index */
  index: number | null;
  /** CSS of the box around it. */
  layout: Layout;
  /** The number of rows to display. */
  rows: number;
  /** Styling customizations */
  style: DescriptionStyle;
  /** Is widget tabbable? */
  tabbable: boolean | null;
  /** A tooltip caption. */
  tooltip: string | null;
  /** How many views show it; null: not counted. */
  _view_count: number | null;
}

/** Stock control Select (@jupyter-widgets/controls 2.0.0); its state is {@link SelectState}. */
export const Select = defineSelection<SelectState>({
  name: "Select",
  modelName: "SelectModel", modelModule: "@jupyter-widgets/controls", modelModuleVersion: "2.0.0",
  viewName: "SelectView", viewModule: "@jupyter-widgets/controls", viewModuleVersion: "2.0.0",
  traits: {
    _dom_classes: { kind: "strings", default: [] },
    _options_labels: { kind: "strings", default: [] },
    description: { kind: "string", default: "" },
    description_allow_html: { kind: "bool", default: false },
    disabled: { kind: "bool", default: false },
    index: { kind: "int", default: null, nullable: true },
    layout: { kind: "widget", default: () => new Layout() },
    rows: { kind: "int", default: 5 },
    style: { kind: "widget", default: () => new DescriptionStyle() },
    tabbable: { kind: "bool", default: null, nullable: true },
    tooltip: { kind: "string", default: null, nullable: true },
    _view_count: { kind: "int", default: null, nullable: true },
  },
});
/** Stock control Select (@jupyter-widgets/controls 2.0.0); its state is {@link SelectState}. */
export type Select<V = string> = Selection<SelectState, V>;

/** State of SelectMultiple (@jupyter-widgets/controls 2.0.0). */
export interface SelectMultipleState {
  /** CSS classes applied to widget DOM element */
  _dom_classes: readonly string[];
  /** The labels for the options. */
  _options_labels: readonly string[];
  /** Description of the control. */
  description: string;
  /** Accept HTML in the description. */
  description_allow_html: boolean;
  /** Enable or disable user changes */
  disabled: boolean;
  /** Selected indices */
  index: readonly number[];
  /** CSS of the box around it. */
  layout: Layout;
  /** The number of rows to display. */
  rows: number;
  /** Styling customizations */
  style: DescriptionStyle;
  /** Is widget tabbable? */
  tabbable: boolean | null;
  /** A tooltip caption. */
  tooltip: string | null;
  /** How many views show it; null: not counted. */
  _view_count: number | null;
}

/** Stock control SelectMultiple (@jupyter-widgets/controls 2.0.0); its state is {@link SelectMultipleState}. */
export const SelectMultiple = defineMultipleSelection<SelectMultipleState>({
  name: "SelectMultiple",
  modelName: "SelectMultipleModel", modelModule: "@jupyter-widgets/controls", modelModuleVersion: "2.0.0",
  viewName: "SelectMultipleView", viewModule: "@jupyter-widgets/controls", viewModuleVersion: "2.0.0",
  traits: {
    _dom_classes: { kind: "strings", default: [] },
    _options_labels: { kind: "strings", default: [] },
    description: { kind: "string", default: "" },
    description_allow_html: { kind: "bool", default: false },
    disabled: { kind: "bool", default: false },
    index: { kind: "ints", default: [] },
    layout: { kind: "widget", default: () => new Layout() },
    rows: { kind: "int", default: 5 },
    style: { kind: "widget", default: () => new DescriptionStyle() },
    tabbable: { kind: "bool", default: null, nullable: true },
    tooltip: { kind: "string", default: null, nullable: true },
    _view_count: { kind: "int", default: null, nullable: true },
  },
});
/** Stock control SelectMultiple (@jupyter-widgets/controls 2.0.0); its state is {@link SelectMultipleState}. */
export type SelectMultiple<V = string> = MultipleSelection<SelectMultipleState, V>;

/** State of SelectionRangeSlider (@jupyter-widgets/controls 2.0.0). */
export interface SelectionRangeSliderState {
  /** CSS classes applied to widget DOM element */
  _dom_classes: readonly string[];
  /** The labels for the options. */
  _options_labels: readonly string[];
  /** Slider dragging behavior. */
  behavior: "drag-tap" | "drag-snap" | "tap" | "drag" | "snap";
  /** Update the value of the widget as the user is holding the slider. */
  continuous_update: boolean;
  /** Description of the control. */
  description: string;
  /** Accept HTML in the description. */
  description_allow_html: boolean;
  /** Enable or disable user changes */
  disabled: boolean;
  /** Min and max selected indices */
  index: readonly [number, number];
  /** CSS of the box around it. */
  layout: Layout;
  /** Vertical or horizontal. */
  orientation: "horizontal" | "vertical";
  /** Display the current selected label next to the slider */
  readout: boolean;
  /** Colours and sizes of its parts. */
  style: SliderStyle;
  /** Is widget tabbable? */
  tabbable: boolean | null;
  /** A tooltip caption. */
  tooltip: string | null;
  /** How many views show it; null: not counted. */
  _view_count: number | null;
}

/** Stock control SelectionRangeSlider (@jupyter-widgets/controls 2.0.0); its state is {@link SelectionRangeSliderState}. */
export const SelectionRangeSlider = defineRangeSelection<SelectionRangeSliderState>({
  name: "SelectionRangeSlider",
  modelName: "SelectionRangeSliderModel", modelModule: "@jupyter-widgets/controls", modelModuleVersion: "2.0.0",
  viewName: "SelectionRangeSliderView", viewModule: "@jupyter-widgets/controls", viewModuleVersion: "2.0.0",
  traits: {
    _dom_classes: { kind: "strings", default: [] },
    _options_labels: { kind: "strings", default: [] },
    behavior: { kind: "string", default: "drag-tap", oneOf: ["drag-tap","drag-snap","tap","drag","snap"] },
    continuous_update: { kind: "bool", default: true },
    description: { kind: "string", default: "" },
    description_allow_html: { kind: "bool", default: false },
    disabled: { kind: "bool", default: false },
    index: { kind: "intRange", default: [0,0] },
    layout: { kind: "widget", default: () => new Layout() },
    orientation: { kind: "string", default: "horizontal", oneOf: ["horizontal","vertical"] },
    readout: { kind: "bool", default: true },
    style: { kind: "widget", default: () => new SliderStyle() },
    tabbable: { kind: "bool", default: null, nullable: true },
    tooltip: { kind: "string", default: null, nullable: true },
    _view_count: { kind: "int", default: null, nullable: true },
  },
});
/** Stock control SelectionRangeSlider (@jupyter-widgets/controls 2.0.0); its state is {@link SelectionRangeSliderState}. */
export type SelectionRangeSlider<V = string> = RangeSelection<SelectionRangeSliderState, V>;

/** State of SelectionSlider (@jupyter-widgets/controls 2.0.0). */
export interface SelectionSliderState {
  /** CSS classes applied to widget DOM element */
  _dom_classes: readonly string[];
  /** The labels for the options. */
  _options_labels: readonly string[];
  /** Slider dragging behavior. */
  behavior: "drag-tap" | "drag-snap" | "tap" | "drag" | "snap";
  /** Update the value of the widget as the user is holding the slider. */
  continuous_update: boolean;
  /** Description of the control. */
  description: string;
  /** Accept HTML in the description. */
  description_allow_html: boolean;
  /** Enable or disable user changes */
  disabled: boolean;
  /** Selected index */
  index: number;
  /** CSS of the box around it. */
  layout: Layout;
  /** Vertical or horizontal. */
  orientation: "horizontal" | "vertical";
  /** Display the current selected label next to the slider */
  readout: boolean;
  /** Colours and sizes of its parts. */
  style: SliderStyle;
  /** Is widget tabbable? */
  tabbable: boolean | null;
  /** A tooltip caption. */
  tooltip: string | null;
  /** How many views show it; null: not counted. */
  _view_count: number | null;
}

/** Stock control SelectionSlider (@jupyter-widgets/controls 2.0.0); its state is {@link SelectionSliderState}. */
export const SelectionSlider = defineSelection<SelectionSliderState>({
  name: "SelectionSlider",
  modelName: "SelectionSliderModel", modelModule: "@jupyter-widgets/controls", modelModuleVersion: "2.0.0",
  viewName: "SelectionSliderView", viewModule: "@jupyter-widgets/controls", viewModuleVersion: "2.0.0",
  traits: {
    _dom_classes: { kind: "strings", default: [] },
    _options_labels: { kind: "strings", default: [] },
    behavior: { kind: "string", default: "drag-tap", oneOf: ["drag-tap","drag-snap","tap","drag","snap"] },
    continuous_update: { kind: "bool", default: true },
    description: { kind: "string", default: "" },
    description_allow_html: { kind: "bool", default: false },
    disabled: { kind: "bool", default: false },
    index: { kind: "int", default: 0 },
    layout: { kind: "widget", default: () => new Layout() },
    orientation: { kind: "string", default: "horizontal", oneOf: ["horizontal","vertical"] },
    readout: { kind: "bool", default: true },
    style: { kind: "widget", default: () => new SliderStyle() },
    tabbable: { kind: "bool", default: null, nullable: true },
    tooltip: { kind: "string", default: null, nullable: true },
    _view_count: { kind: "int", default: null, nullable: true },
  },
});
/** Stock control SelectionSlider (@jupyter-widgets/controls 2.0.0); its state is {@link SelectionSliderState}. */
export type SelectionSlider<V = string> = Selection<SelectionSliderState, V>;

/** State of SliderStyle (@jupyter-widgets/controls 2.0.0). */
export interface SliderStyleState {
  /** Width of the description to the side of the control. */
  description_width: string;
  /** Color of the slider handle. */
  handle_color: string | null;
  /** How many views show it; null: not counted. */
  _view_count: number | null;
}

/** Stock control SliderStyle (@jupyter-widgets/controls 2.0.0); its state is {@link SliderStyleState}. */
export const SliderStyle = defineControl<SliderStyleState>({
  name: "SliderStyle",
  modelName: "SliderStyleModel", modelModule: "@jupyter-widgets/controls", modelModuleVersion: "2.0.0",
  viewName: "StyleView", viewModule: "@jupyter-widgets/base", viewModuleVersion: "2.0.0",
  traits: {
    description_width: { kind: "string", default: "" },
    handle_color: { kind: "string", default: null, nullable: true },
    _view_count: { kind: "int", default: null, nullable: true },
  },
});
/** Stock control SliderStyle (@jupyter-widgets/controls 2.0.0); its state is {@link SliderStyleState}. */
export type SliderStyle = Control<SliderStyleState>;

/** State of Stack (@jupyter-widgets/controls 2.0.0). */
export interface StackState {
  /** CSS classes applied to widget DOM element */
  _dom_classes: readonly string[];
  /** Use a predefined styling for the box. */
  box_style: "success" | "info" | "warning" | "danger" | "";
  /** List of widget children */
  children: readonly RegisteredWidget[];
  /** CSS of the box around it. */
  layout: Layout;
  /** The index of the selected page. This is either an integer selecting a particular sub-widget, or None to have no widgets selected. */
  selected_index: number | null;
  /** Is widget tabbable? */
  tabbable: boolean | null;
  /** Titles of the pages */
  titles: readonly string[];
  /** A tooltip caption. */
  tooltip: string | null;
  /** How many views show it; null: not counted. */
  _view_count: number | null;
}

/** Stock control Stack (@jupyter-widgets/controls 2.0.0); its state is {@link StackState}. */
export const Stack = defineControl<StackState>({
  name: "Stack",
  modelName: "StackModel", modelModule: "@jupyter-widgets/controls", modelModuleVersion: "2.0.0",
  viewName: "StackView", viewModule: "@jupyter-widgets/controls", viewModuleVersion: "2.0.0",
  traits: {
    _dom_classes: { kind: "strings", default: [] },
    box_style: { kind: "string", default: "", oneOf: ["success","info","warning","danger",""] },
    children: { kind: "widgets", default: [] },
    layout: { kind: "widget", default: () => new Layout() },
    selected_index: { kind: "int", default: null, nullable: true },
    tabbable: { kind: "bool", default: null, nullable: true },
    titles: { kind: "strings", default: [] },
    tooltip: { kind: "string", default: null, nullable: true },
    _view_count: { kind: "int", default: null, nullable: true },
  },
});
/** Stock control Stack (@jupyter-widgets/controls 2.0.0); its state is {@link StackState}. */
export type Stack = Control<StackState>;

/** State of Tab (@jupyter-widgets/controls 2.0.0). */
export interface TabState {
  /** CSS classes applied to widget DOM element */
  _dom_classes: readonly string[];
  /** Use a predefined styling for the box. */
  box_style: "success" | "info" | "warning" | "danger" | "";
  /** List of widget children */
  children: readonly RegisteredWidget[];
  /** CSS of the box around it. */
  layout: Layout;
  /** The index of the selected page. This is either an integer selecting a particular sub-widget, or None to have no widgets selected. */
  selected_index: number | null;
  /** Is widget tabbable? */
  tabbable: boolean | null;
  /** Titles of the pages */
  titles: readonly string[];
  /** A tooltip caption. */
  tooltip: string | null;
  /** How many views show it; null: not counted. */
  _view_count: number | null;
}

/** Stock control Tab (@jupyter-widgets/controls 2.0.0); its state is {@link TabState}. */
export const Tab = defineControl<TabState>({
  name: "Tab",
  modelName: "TabModel", modelModule: "@jupyter-widgets/controls", modelModuleVersion: "2.0.0",
  viewName: "TabView", viewModule: "@jupyter-widgets/controls", viewModuleVersion: "2.0.0",
  traits: {
    _dom_classes: { kind: "strings", default: [] },
    box_style: { kind: "string", default: "", oneOf: ["success","info","warning","danger",""] },
    children: { kind: "widgets", default: [] },
    layout: { kind: "widget", default: () => new Layout() },
    selected_index: { kind: "int", default: null, nullable: true },
    tabbable: { kind: "bool", default: null, nullable: true },
    titles: { kind: "strings", default: [] },
    tooltip: { kind: "string", default: null, nullable: true },
    _view_count: { kind: "int", default: null, nullable: true },
  },
});
/** Stock control Tab (@jupyter-widgets/controls 2.0.0); its state is {@link TabState}. */
export type Tab = Control<TabState>;

/** State of TagsInput (@jupyter-widgets/controls 2.0.0). */
export interface TagsInputState {
  /** CSS classes applied to widget DOM element */
  _dom_classes: readonly string[];
  /** Whether a tag can be there twice. */
  allow_duplicates: boolean;
  /** Tags that can be chosen; empty: any. */
  allowed_tags: readonly string[];
  /** Description of the control. */
  description: string;
  /** Accept HTML in the description. */
  description_allow_html: boolean;
  /** CSS of the box around it. */
  layout: Layout;
  /** Shown while it is empty. */
  placeholder: string;
  /** Styling customizations */
  style: DescriptionStyle;
  /** Is widget tabbable? */
  tabbable: boolean | null;
  /** Use a predefined styling for the tags. */
  tag_style: "primary" | "success" | "info" | "warning" | "danger" | "";
  /** A tooltip caption. */
  tooltip: string | null;
  /** List of string tags */
  value: readonly string[];
  /** How many views show it; null: not counted. */
  _view_count: number | null;
}

/** Stock control TagsInput (@jupyter-widgets/controls 2.0.0); its state is {@link TagsInputState}. */
export const TagsInput = defineControl<TagsInputState>({
  name: "TagsInput",
  modelName: "TagsInputModel", modelModule: "@jupyter-widgets/controls", modelModuleVersion: "2.0.0",
  viewName: "TagsInputView", viewModule: "@jupyter-widgets/controls", viewModuleVersion: "2.0.0",
  traits: {
    _dom_classes: { kind: "strings", default: [] },
    allow_duplicates: { kind: "bool", default: true },
    allowed_tags: { kind: "strings", default: [] },
    description: { kind: "string", default: "" },
    description_allow_html: { kind: "bool", default: false },
    layout: { kind: "widget", default: () => new Layout() },
    placeholder: { kind: "string", default: "​" },
    style: { kind: "widget", default: () => new DescriptionStyle() },
    tabbable: { kind: "bool", default: null, nullable: true },
    tag_style: { kind: "string", default: "", oneOf: ["primary","success","info","warning","danger",""] },
    tooltip: { kind: "string", default: null, nullable: true },
    value: { kind: "strings", default: [] },
    _view_count: { kind: "int", default: null, nullable: true },
  },
});
/** Stock control TagsInput (@jupyter-widgets/controls 2.0.0); its state is {@link TagsInputState}. */
export type TagsInput = Control<TagsInputState>;

/** State of Text (@jupyter-widgets/controls 2.0.0). */
export interface TextState {
  /** CSS classes applied to widget DOM element */
  _dom_classes: readonly string[];
  /** Update the value as the user types. If False, update on submission, e.g., pressing Enter or navigating away. */
  continuous_update: boolean;
  /** Description of the control. */
  description: string;
  /** Accept HTML in the description. */
  description_allow_html: boolean;
  /** Enable or disable user changes */
  disabled: boolean;
  /** CSS of the box around it. */
  layout: Layout;
  /** Placeholder text to display when nothing has been typed */
  placeholder: string;
  /** Colours and sizes of its parts. */
  style: TextStyle;
  /** Is widget tabbable? */
  tabbable: boolean | null;
  /** A tooltip caption. */
  tooltip: string | null;
  /** String value */
  value: string;
  /** How many views show it; null: not counted. */
  _view_count: number | null;
}

/** Stock control Text (@jupyter-widgets/controls 2.0.0); its state is {@link TextState}. */
export const Text = defineControl<TextState, SubmitEvents>({
  name: "Text",
  modelName: "TextModel", modelModule: "@jupyter-widgets/controls", modelModuleVersion: "2.0.0",
  viewName: "TextView", viewModule: "@jupyter-widgets/controls", viewModuleVersion: "2.0.0",
  traits: {
    _dom_classes: { kind: "strings", default: [] },
    continuous_update: { kind: "bool", default: true },
    description: { kind: "string", default: "" },
    description_allow_html: { kind: "bool", default: false },
    disabled: { kind: "bool", default: false },
    layout: { kind: "widget", default: () => new Layout() },
    placeholder: { kind: "string", default: "​" },
    style: { kind: "widget", default: () => new TextStyle() },
    tabbable: { kind: "bool", default: null, nullable: true },
    tooltip: { kind: "string", default: null, nullable: true },
    value: { kind: "string", default: "" },
    _view_count: { kind: "int", default: null, nullable: true },
  },
});
/** Stock control Text (@jupyter-widgets/controls 2.0.0); its state is {@link TextState}. */
export type Text = Control<TextState, SubmitEvents>;

/** State of TextStyle (@jupyter-widgets/controls 2.0.0). */
export interface TextStyleState {
  /** Background specifications. */
  background: string | null;
  /** Width of the description to the side of the control. */
  description_width: string;
  /** Text font size. */
  font_size: string | null;
  /** Text color */
  text_color: string | null;
  /** How many views show it; null: not counted. */
  _view_count: number | null;
}

/** Stock control TextStyle (@jupyter-widgets/controls 2.0.0); its state is {@link TextStyleState}. */
export const TextStyle = defineControl<TextStyleState>({
  name: "TextStyle",
  modelName: "TextStyleModel", modelModule: "@jupyter-widgets/controls", modelModuleVersion: "2.0.0",
  viewName: "StyleView", viewModule: "@jupyter-widgets/base", viewModuleVersion: "2.0.0",
  traits: {
    background: { kind: "string", default: null, nullable: true },
    description_width: { kind: "string", default: "" },
    font_size: { kind: "string", default: null, nullable: true },
    text_color: { kind: "string", default: null, nullable: true },
    _view_count: { kind: "int", default: null, nullable: true },
  },
});
/** Stock control TextStyle (@jupyter-widgets/controls 2.0.0); its state is {@link TextStyleState}. */
export type TextStyle = Control<TextStyleState>;

/** State of Textarea (@jupyter-widgets/controls 2.0.0). */
export interface TextareaState {
  /** CSS classes applied to widget DOM element */
  _dom_classes: readonly string[];
  /** Update the value as the user types. If False, update on submission, e.g., pressing Enter or navigating away. */
  continuous_update: boolean;
  /** Description of the control. */
  description: string;
  /** Accept HTML in the description. */
  description_allow_html: boolean;
  /** Enable or disable user changes */
  disabled: boolean;
  /** CSS of the box around it. */
  layout: Layout;
  /** Placeholder text to display when nothing has been typed */
  placeholder: string;
  /** The number of rows to display. */
  rows: number | null;
  /** Colours and sizes of its parts. */
  style: TextStyle;
  /** Is widget tabbable? */
  tabbable: boolean | null;
  /** A tooltip caption. */
  tooltip: string | null;
  /** String value */
  value: string;
  /** How many views show it; null: not counted. */
  _view_count: number | null;
}

/** Stock control Textarea (@jupyter-widgets/controls 2.0.0); its state is {@link TextareaState}. */
export const Textarea = defineControl<TextareaState>({
  name: "Textarea",
  modelName: "TextareaModel", modelModule: "@jupyter-widgets/controls", modelModuleVersion: "2.0.0",
  viewName: "TextareaView", viewModule: "@jupyter-widgets/controls", viewModuleVersion: "2.0.0",
  traits: {
    _dom_classes: { kind: "strings", default: [] },
    continuous_update: { kind: "bool", default: true },
    description: { kind: "string", default: "" },
    description_allow_html: { kind: "bool", default: false },
    disabled: { kind: "bool", default: false },
    layout: { kind: "widget", default: () => new Layout() },
    placeholder: { kind: "string", default: "​" },
    rows: { kind: "int", default: null, nullable: true },
    style: { kind: "widget", default: () => new TextStyle() },
    tabbable: { kind: "bool", default: null, nullable: true },
    tooltip: { kind: "string", default: null, nullable: true },
    value: { kind: "string", default: "" },
    _view_count: { kind: "int", default: null, nullable: true },
  },
});
/** Stock control Textarea (@jupyter-widgets/controls 2.0.0); its state is {@link TextareaState}. */
export type Textarea = Control<TextareaState>;

/** State of TimePicker (@jupyter-widgets/controls 2.0.0). */
export interface TimePickerState {
  /** CSS classes applied to widget DOM element */
  _dom_classes: readonly string[];
  /** Description of the control. */
  description: string;
  /** Accept HTML in the description. */
  description_allow_html: boolean;
  /** Enable or disable user changes. */
  disabled: boolean;
  /** CSS of the box around it. */
  layout: Layout;
  /** The largest value. */
  max: TimeOfDay | null;
  /** The smallest value. */
  min: TimeOfDay | null;
  /** The time step to use for the picker, in seconds, or "any". */
  step: number | "any";
  /** Styling customizations */
  style: DescriptionStyle;
  /** Is widget tabbable? */
  tabbable: boolean | null;
  /** A tooltip caption. */
  tooltip: string | null;
  /** What the user has chosen or typed. */
  value: TimeOfDay | null;
  /** How many views show it; null: not counted. */
  _view_count: number | null;
}

/** Stock control TimePicker (@jupyter-widgets/controls 2.0.0); its state is {@link TimePickerState}. */
export const TimePicker = defineControl<TimePickerState>({
  name: "TimePicker",
  modelName: "TimeModel", modelModule: "@jupyter-widgets/controls", modelModuleVersion: "2.0.0",
  viewName: "TimeView", viewModule: "@jupyter-widgets/controls", viewModuleVersion: "2.0.0",
  traits: {
    _dom_classes: { kind: "strings", default: [] },
    description: { kind: "string", default: "" },
    description_allow_html: { kind: "bool", default: false },
    disabled: { kind: "bool", default: false },
    layout: { kind: "widget", default: () => new Layout() },
    max: { kind: "Time", default: null, nullable: true },
    min: { kind: "Time", default: null, nullable: true },
    step: { kind: "floatOrAny", default: 60 },
    style: { kind: "widget", default: () => new DescriptionStyle() },
    tabbable: { kind: "bool", default: null, nullable: true },
    tooltip: { kind: "string", default: null, nullable: true },
    value: { kind: "Time", default: null, nullable: true },
    _view_count: { kind: "int", default: null, nullable: true },
  },
});
/** Stock control TimePicker (@jupyter-widgets/controls 2.0.0); its state is {@link TimePickerState}. */
export type TimePicker = Control<TimePickerState>;

/** State of ToggleButton (@jupyter-widgets/controls 2.0.0). */
export interface ToggleButtonState {
  /** CSS classes applied to widget DOM element */
  _dom_classes: readonly string[];
  /** Use a predefined styling for the button. */
  button_style: "primary" | "success" | "info" | "warning" | "danger" | "";
  /** Description of the control. */
  description: string;
  /** Accept HTML in the description. */
  description_allow_html: boolean;
  /** Enable or disable user changes. */
  disabled: boolean;
  /** Font-awesome icon. */
  icon: string;
  /** CSS of the box around it. */
  layout: Layout;
  /** Styling customizations */
  style: ToggleButtonStyle;
  /** Is widget tabbable? */
  tabbable: boolean | null;
  /** A tooltip caption. */
  tooltip: string | null;
  /** Bool value */
  value: boolean;
  /** How many views show it; null: not counted. */
  _view_count: number | null;
}

/** Stock control ToggleButton (@jupyter-widgets/controls 2.0.0); its state is {@link ToggleButtonState}. */
export const ToggleButton = defineControl<ToggleButtonState>({
  name: "ToggleButton",
  modelName: "ToggleButtonModel", modelModule: "@jupyter-widgets/controls", modelModuleVersion: "2.0.0",
  viewName: "ToggleButtonView", viewModule: "@jupyter-widgets/controls", viewModuleVersion: "2.0.0",
  traits: {
    _dom_classes: { kind: "strings", default: [] },
    button_style: { kind: "string", default: "", oneOf: ["primary","success","info","warning","danger",""] },
    description: { kind: "string", default: "" },
    description_allow_html: { kind: "bool", default: false },
    disabled: { kind: "bool", default: false },
    icon: { kind: "string", default: "" },
    layout: { kind: "widget", default: () => new Layout() },
    style: { kind: "widget", default: () => new ToggleButtonStyle() },
    tabbable: { kind: "bool", default: null, nullable: true },
    tooltip: { kind: "string", default: null, nullable: true },
    value: { kind: "bool", default: false },
    _view_count: { kind: "int", default: null, nullable: true },
  },
});
/** Stock control ToggleButton (@jupyter-widgets/controls 2.0.0); its state is {@link ToggleButtonState}. */
export type ToggleButton = Control<ToggleButtonState>;

/** State of ToggleButtonStyle (@jupyter-widgets/controls 2.0.0). */
export interface ToggleButtonStyleState {
  /** Width of the description to the side of the control. */
  description_width: string;
  /** Toggle button text font family. */
  font_family: string | null;
  /** Toggle button text font size. */
  font_size: string | null;
  /** Toggle button text font style. */
  font_style: string | null;
  /** Toggle button text font variant. */
  font_variant: string | null;
  /** Toggle button text font weight. */
  font_weight: string | null;
  /** Toggle button text color */
  text_color: string | null;
  /** Toggle button text decoration. */
  text_decoration: string | null;
  /** How many views show it; null: not counted. */
  _view_count: number | null;
}

/** Stock control ToggleButtonStyle (@jupyter-widgets/controls 2.0.0); its state is {@link ToggleButtonStyleState}. */
export const ToggleButtonStyle = defineControl<ToggleButtonStyleState>({
  name: "ToggleButtonStyle",
  modelName: "ToggleButtonStyleModel", modelModule: "@jupyter-widgets/controls", modelModuleVersion: "2.0.0",
  viewName: "StyleView", viewModule: "@jupyter-widgets/base", viewModuleVersion: "2.0.0",
  traits: {
    description_width: { kind: "string", default: "" },
    font_family: { kind: "string", default: null, nullable: true },
    font_size: { kind: "string", default: null, nullable: true },
    font_style: { kind: "string", default: null, nullable: true },
    font_variant: { kind: "string", default: null, nullable: true },
    font_weight: { kind: "string", default: null, nullable: true },
    text_color: { kind: "string", default: null, nullable: true },
    text_decoration: { kind: "string", default: null, nullable: true },
    _view_count: { kind: "int", default: null, nullable: true },
  },
});
/** Stock control ToggleButtonStyle (@jupyter-widgets/controls 2.0.0); its state is {@link ToggleButtonStyleState}. */
export type ToggleButtonStyle = Control<ToggleButtonStyleState>;

/** State of ToggleButtons (@jupyter-widgets/controls 2.0.0). */
export interface ToggleButtonsState {
  /** CSS classes applied to widget DOM element */
  _dom_classes: readonly string[];
  /** The labels for the options. */
  _options_labels: readonly string[];
  /** Use a predefined styling for the buttons. */
  button_style: "primary" | "success" | "info" | "warning" | "danger" | "" | null;
  /** Description of the control. */
  description: string;
  /** Accept HTML in the description. */
  description_allow_html: boolean;
  /** Enable or disable user changes */
  disabled: boolean;
  /** Icons names for each button (FontAwesome names without the fa- prefix). */
  icons: readonly string[];
  /** Selected index */
  index: number | null;
  /** CSS of the box around it. */
  layout: Layout;
  /** Colours and sizes of its parts. */
  style: ToggleButtonsStyle;
  /** Is widget tabbable? */
  tabbable: boolean | null;
  /** A tooltip caption. */
  tooltip: string | null;
  /** Tooltips for each button. */
  tooltips: readonly string[];
  /** How many views show it; null: not counted. */
  _view_count: number | null;
}

/** Stock control ToggleButtons (@jupyter-widgets/controls 2.0.0); its state is {@link ToggleButtonsState}. */
export const ToggleButtons = defineSelection<ToggleButtonsState>({
  name: "ToggleButtons",
  modelName: "ToggleButtonsModel", modelModule: "@jupyter-widgets/controls", modelModuleVersion: "2.0.0",
  viewName: "ToggleButtonsView", viewModule: "@jupyter-widgets/controls", viewModuleVersion: "2.0.0",
  traits: {
    _dom_classes: { kind: "strings", default: [] },
    _options_labels: { kind: "strings", default: [] },
    button_style: { kind: "string", default: "", nullable: true, oneOf: ["primary","success","info","warning","danger",""] },
    description: { kind: "string", default: "" },
    description_allow_html: { kind: "bool", default: false },
    disabled: { kind: "bool", default: false },
    icons: { kind: "strings", default: [] },
    index: { kind: "int", default: null, nullable: true },
    layout: { kind: "widget", default: () => new Layout() },
    style: { kind: "widget", default: () => new ToggleButtonsStyle() },
    tabbable: { kind: "bool", default: null, nullable: true },
    tooltip: { kind: "string", default: null, nullable: true },
    tooltips: { kind: "strings", default: [] },
    _view_count: { kind: "int", default: null, nullable: true },
  },
});
/** Stock control ToggleButtons (@jupyter-widgets/controls 2.0.0); its state is {@link ToggleButtonsState}. */
export type ToggleButtons<V = string> = Selection<ToggleButtonsState, V>;

/** State of ToggleButtonsStyle (@jupyter-widgets/controls 2.0.0). */
export interface ToggleButtonsStyleState {
  /** The width of each button. */
  button_width: string;
  /** Width of the description to the side of the control. */
  description_width: string;
  /** Text font weight of each button. */
  font_weight: string;
  /** How many views show it; null: not counted. */
  _view_count: number | null;
}

/** Stock control ToggleButtonsStyle (@jupyter-widgets/controls 2.0.0); its state is {@link ToggleButtonsStyleState}. */
export const ToggleButtonsStyle = defineControl<ToggleButtonsStyleState>({
  name: "ToggleButtonsStyle",
  modelName: "ToggleButtonsStyleModel", modelModule: "@jupyter-widgets/controls", modelModuleVersion: "2.0.0",
  viewName: "StyleView", viewModule: "@jupyter-widgets/base", viewModuleVersion: "2.0.0",
  traits: {
    button_width: { kind: "string", default: "" },
    description_width: { kind: "string", default: "" },
    font_weight: { kind: "string", default: "" },
    _view_count: { kind: "int", default: null, nullable: true },
  },
});
/** Stock control ToggleButtonsStyle (@jupyter-widgets/controls 2.0.0); its state is {@link ToggleButtonsStyleState}. */
export type ToggleButtonsStyle = Control<ToggleButtonsStyleState>;

/** State of VBox (@jupyter-widgets/controls 2.0.0). */
export interface VBoxState {
  /** CSS classes applied to widget DOM element */
  _dom_classes: readonly string[];
  /** Use a predefined styling for the box. */
  box_style: "success" | "info" | "warning" | "danger" | "";
  /** List of widget children */
  children: readonly RegisteredWidget[];
  /** CSS of the box around it. */
  layout: Layout;
  /** Is widget tabbable? */
  tabbable: boolean | null;
  /** A tooltip caption. */
  tooltip: string | null;
  /** How many views show it; null: not counted. */
  _view_count: number | null;
}

/** Stock control VBox (@jupyter-widgets/controls 2.0.0); its state is {@link VBoxState}. */
export const VBox = defineControl<VBoxState>({
  name: "VBox",
  modelName: "VBoxModel", modelModule: "@jupyter-widgets/controls", modelModuleVersion: "2.0.0",
  viewName: "VBoxView", viewModule: "@jupyter-widgets/controls", viewModuleVersion: "2.0.0",
  traits: {
    _dom_classes: { kind: "strings", default: [] },
    box_style: { kind: "string", default: "", oneOf: ["success","info","warning","danger",""] },
    children: { kind: "widgets", default: [] },
    layout: { kind: "widget", default: () => new Layout() },
    tabbable: { kind: "bool", default: null, nullable: true },
    tooltip: { kind: "string", default: null, nullable: true },
    _view_count: { kind: "int", default: null, nullable: true },
  },
});
/** Stock control VBox (@jupyter-widgets/controls 2.0.0); its state is {@link VBoxState}. */
export type VBox = Control<VBoxState>;

/** State of Valid (@jupyter-widgets/controls 2.0.0). */
export interface ValidState {
  /** CSS classes applied to widget DOM element */
  _dom_classes: readonly string[];
  /** Description of the control. */
  description: string;
  /** Accept HTML in the description. */
  description_allow_html: boolean;
  /** Enable or disable user changes. */
  disabled: boolean;
  /** CSS of the box around it. */
  layout: Layout;
  /** Message displayed when the value is False */
  readout: string;
  /** Styling customizations */
  style: DescriptionStyle;
  /** Is widget tabbable? */
  tabbable: boolean | null;
  /** A tooltip caption. */
  tooltip: string | null;
  /** Bool value */
  value: boolean;
  /** How many views show it; null: not counted. */
  _view_count: number | null;
}

/** Stock control Valid (@jupyter-widgets/controls 2.0.0); its state is {@link ValidState}. */
export const Valid = defineControl<ValidState>({
  name: "Valid",
  modelName: "ValidModel", modelModule: "@jupyter-widgets/controls", modelModuleVersion: "2.0.0",
  viewName: "ValidView", viewModule: "@jupyter-widgets/controls", viewModuleVersion: "2.0.0",
  traits: {
    _dom_classes: { kind: "strings", default: [] },
    description: { kind: "string", default: "" },
    description_allow_html: { kind: "bool", default: false },
    disabled: { kind: "bool", default: false },
    layout: { kind: "widget", default: () => new Layout() },
    readout: { kind: "string", default: "Invalid" },
    style: { kind: "widget", default: () => new DescriptionStyle() },
    tabbable: { kind: "bool", default: null, nullable: true },
    tooltip: { kind: "string", default: null, nullable: true },
    value: { kind: "bool", default: false },
    _view_count: { kind: "int", default: null, nullable: true },
  },
});
/** Stock control Valid (@jupyter-widgets/controls 2.0.0); its state is {@link ValidState}. */
export type Valid = Control<ValidState>;

/** State of Video (@jupyter-widgets/controls 2.0.0). */
export interface VideoState {
  /** CSS classes applied to widget DOM element */
  _dom_classes: readonly string[];
  /** When true, the video starts when it's displayed */
  autoplay: boolean;
  /** Specifies that video controls should be displayed (such as a play/pause button etc) */
  controls: boolean;
  /** The format of the video. */
  format: string;
  /** Height of the video in pixels. */
  height: string;
  /** CSS of the box around it. */
  layout: Layout;
  /** When true, the video will start from the beginning after finishing */
  loop: boolean;
  /** Is widget tabbable? */
  tabbable: boolean | null;
  /** A tooltip caption. */
  tooltip: string | null;
  /** The media data as a memory view of bytes. */
  value: Uint8Array;
  /** Width of the video in pixels. */
  width: string;
  /** How many views show it; null: not counted. */
  _view_count: number | null;
}

/** Stock control Video (@jupyter-widgets/controls 2.0.0); its state is {@link VideoState}. */
export const Video = defineControl<VideoState>({
  name: "Video",
  modelName: "VideoModel", modelModule: "@jupyter-widgets/controls", modelModuleVersion: "2.0.0",
  viewName: "VideoView", viewModule: "@jupyter-widgets/controls", viewModuleVersion: "2.0.0",
  traits: {
    _dom_classes: { kind: "strings", default: [] },
    autoplay: { kind: "bool", default: true },
    controls: { kind: "bool", default: true },
    format: { kind: "string", default: "mp4" },
    height: { kind: "string", default: "" },
    layout: { kind: "widget", default: () => new Layout() },
    loop: { kind: "bool", default: true },
    tabbable: { kind: "bool", default: null, nullable: true },
    tooltip: { kind: "string", default: null, nullable: true },
    value: { kind: "bytes", default: () => new Uint8Array(0) },
    width: { kind: "string", default: "" },
    _view_count: { kind: "int", default: null, nullable: true },
  },
});
/** Stock control Video (@jupyter-widgets/controls 2.0.0); its state is {@link VideoState}. */
export type Video = Control<VideoState>;

/** State of Output (@jupyter-widgets/output 1.0.0). */
export interface OutputState {
  /** CSS classes applied to widget DOM element */
  _dom_classes: readonly string[];
  /** CSS of the box around it. */
  layout: Layout;
  /** Parent message id of messages to capture */
  msg_id: string;
  /** The output messages synced from the frontend. */
  outputs: readonly CellOutput[];
  /** Is widget tabbable? */
  tabbable: boolean | null;
  /** A tooltip caption. */
  tooltip: string | null;
  /** How many views show it; null: not counted. */
  _view_count: number | null;
}

/** Stock control Output (@jupyter-widgets/output 1.0.0); its state is {@link OutputState}. */
export const Output = defineControl<OutputState>({
  name: "Output",
  modelName: "OutputModel", modelModule: "@jupyter-widgets/output", modelModuleVersion: "1.0.0",
  viewName: "OutputView", viewModule: "@jupyter-widgets/output", viewModuleVersion: "1.0.0",
  traits: {
    _dom_classes: { kind: "strings", default: [] },
    layout: { kind: "widget", default: () => new Layout() },
    msg_id: { kind: "string", default: "" },
    outputs: { kind: "outputs", default: [] },
    tabbable: { kind: "bool", default: null, nullable: true },
    tooltip: { kind: "string", default: null, nullable: true },
    _view_count: { kind: "int", default: null, nullable: true },
  },
});
/** Stock control Output (@jupyter-widgets/output 1.0.0); its state is {@link OutputState}. */
export type Output = Control<OutputState>;

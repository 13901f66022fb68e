/** What the routes of a contrast draw of their token. Types alone: browsers trace stored routes, too. */

/**
 * A part that is drawn. `weight`: the size of its logit beside the largest that an edge of this token can carry.
 * `contribution`: its size beside those of all parts that make up the state that it is written into; the residual edge
 * has what is left. So following contributions upward gives each part its share of all of them.
 */
export interface LogitShare {
  readonly logit: number;
  readonly weight: number;
  readonly contribution: number;
}

export interface LogitKey extends LogitShare {
  readonly key: number;
  /** Head → its share of `weight`, by size. */
  readonly heads: Readonly<Record<number, number>>;
  /** Head → its logit. */
  readonly headLogits: Readonly<Record<number, number>>;
}

/** The parts of a layer that are drawn. */
export interface KeptLayer {
  readonly keys: readonly LogitKey[];
  readonly ffn: LogitShare | undefined;
  readonly pre: LogitShare;
  readonly mid: LogitShare;
}

/** What is drawn of a token's column. */
export interface KeptColumn {
  readonly position: number;
  readonly layers: readonly KeptLayer[];
}

import type { ShownPicture } from "../../core/export";
import { saveCanvas, saveCsv, savePng, saveSvg } from "../../core/export";
import type { DrawnRoutes } from "../../core/routes";

const NAME = "information-flow";

/** Downloads the edges as a table. */
export function saveEdges(routes: DrawnRoutes | undefined, compared: boolean): void {
  const columns = compared ? ["A", "B", "difference", "unit"] : ["weight", "heads"];
  const rows = (routes?.edges ?? []).map(({ source, target, kind, both, delta, logit, weight, heads }) => [
    source,
    target,
    kind,
    ...(both
      ? [
          both[0] ?? "",
          both[1] ?? "",
          both.includes(undefined) ? "" : (delta ?? 0),
          logit === undefined ? "contribution" : "logits",
        ]
      : [weight, heads.map((h) => `${h.head}:${h.weight}`).join(" ")]),
  ]);
  saveCsv([["source", "target", "kind", ...columns], ...rows], `${NAME}.csv`);
}

/** Downloads the picture as it is shown. In an SVG, what is on canvas is an image beneath the labels. */
export async function saveGraph({ svg, beneath }: ShownPicture, format: "svg" | "png"): Promise<void> {
  if (format === "svg") return saveSvg(svg, `${NAME}.svg`, beneath);
  return beneath.length > 0 ? saveCanvas(beneath, svg, `${NAME}.png`) : savePng(svg, `${NAME}.png`);
}

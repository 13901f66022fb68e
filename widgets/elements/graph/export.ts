import type { ShownPicture } from "../../core/export";
import { saveCanvas, saveCsv, savePng, saveSvg } from "../../core/export";
import type { DrawnRoutes } from "../../core/routes";

const NAME = "information-flow";

/** Downloads the edges as a table. */
export function saveEdges(routes: DrawnRoutes | undefined, compared: boolean): void {
  const rows = (routes?.edges ?? []).map((edge) => [
    edge.source,
    edge.target,
    edge.kind,
    ...(edge.both
      ? [edge.both[0] ?? "", edge.both[1] ?? "", edge.delta ?? 0]
      : [edge.weight, edge.heads.map((h) => `${h.head}:${h.weight}`).join(" ")]),
  ]);
  saveCsv(
    [
      ["source", "target", "kind", ...(compared ? ["weight A", "weight B", "difference"] : ["weight", "heads"])],
      ...rows,
    ],
    `${NAME}.csv`,
  );
}

/** Downloads the picture as it is shown. In an SVG, what is on canvas is an image beneath the labels. */
export async function saveGraph({ svg, beneath }: ShownPicture, format: "svg" | "png"): Promise<void> {
  if (format === "svg") return saveSvg(svg, `${NAME}.svg`, beneath);
  return beneath.length > 0 ? saveCanvas(beneath, svg, `${NAME}.png`) : savePng(svg, `${NAME}.png`);
}

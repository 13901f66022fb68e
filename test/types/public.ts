/**
 * What the compiler says to the person at the keyboard. Checked by `npm test -- types` and never run: each line under
 * `@ts-expect-error` must not compile, all others must.
 */
import type { Device, Dtype, LogitAttribution, NodeName, RouteGraph, Run, TransparentModel } from "../../src/index";
import { loadModel, nodeName, parseNode } from "../../src/index";

type Same<A, B> = (<T>() => T extends A ? 1 : 2) extends <T>() => T extends B ? 1 : 2 ? true : false;
const same = <A, B>(_: Same<A, B>, ..._values: readonly unknown[]): void => undefined;

export async function loading(): Promise<void> {
  await loadModel("org/name", { dtype: "float16", device: "cuda" });
  // Later runtimes may have other providers.
  await loadModel("org/name", { device: "qnn" });
  // @ts-expect-error a misspelt dtype
  await loadModel("org/name", { dtype: "flot16" });
  // @ts-expect-error a misspelt option
  await loadModel("org/name", { revison: "main" });
  same<Dtype, "auto" | "float32" | "float16" | "bfloat16" | "q8" | "q4">(true);
  const device: Device = "auto";
  void device;
}

export async function asking(model: TransparentModel, run: Run, layer: number, position: number): Promise<void> {
  await run.lens("I20_4");
  await run.lens("X0_4");
  // Put together where it is asked for, a name needs no more than its parts.
  await run.lens(`A${layer}_${position}`);
  await run.lens(nodeName("I", layer, position));
  for (const node of ["I5_3", "I20_3"]) await run.lens(node);
  await run.lens("I" + String(layer) + "_3");
  // @ts-expect-error no node
  await run.lens("banana");
  // @ts-expect-error only X0 has an embedding
  await run.lens("X1_4");
  // @ts-expect-error a kind that does not exist
  await run.lens(`B${layer}_${position}`);

  await run.routes({ from: 3 });
  await run.routes({ from: [3, 4] });
  await run.routes({ from: "all" });
  await run.routes({ from: ["I5_3", "A4_2"] });
  // @ts-expect-error no node
  await run.routes({ from: "foo" });
  // @ts-expect-error a misspelt option
  await run.routes({ treshold: 0.1 });

  const attribution: LogitAttribution = await run.logitAttribution({ token: " Paris", versus: " London" });
  void attribution;
  // @ts-expect-error a point that does not exist
  await run.residual(3, "middle");
  // @ts-expect-error a head belongs to attention
  await run.effect({ kind: "ffn", layer: 1, position: 0, head: 2 });

  const one = await model.run("text");
  same<typeof one, Run>(true, one);
  const several = await model.run(["one", "two"]);
  same<typeof several, Run[]>(true, several);
}

export function reading(routes: RouteGraph): void {
  for (const { source, kind, heads } of routes.edges) {
    same<typeof source, NodeName>(true);
    same<typeof kind, "attention" | "residual" | "ffn-in" | "ffn-out">(true, kind);
    same<typeof heads, Readonly<Record<number, number>> | undefined>(true, heads);
    const place = parseNode(source);
    if (place) same<typeof place.kind, "X" | "A" | "M" | "I">(true);
  }
  // @ts-expect-error results are not written into
  routes.edges.push({ source: "I0_0", target: "A1_0", kind: "attention", weight: 1 });
}

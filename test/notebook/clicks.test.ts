/** What is only prepared gives way to what a page asks. */
import { answererOf, runFacts } from "../../src/notebook/answers";
import { asked, calmly, clicking, quiet } from "../../src/notebook/clicks";
import { PictureShare } from "../../src/notebook/share";
import { initialSelection } from "../../src/protocol";
import { ToyModel } from "../support/toy-model";

const never = (signal: AbortSignal): Promise<never> =>
  new Promise((_, reject) => {
    if (signal.aborted) reject(signal.reason as Error);
    signal.addEventListener("abort", () => reject(signal.reason as Error));
  });

test("long work ends when a page asks, and begins again when it has not asked for a moment", async () => {
  const { signal } = new AbortController();
  let begun = 0;
  const work = calmly(signal, (calm) => {
    // A click that comes meanwhile.
    if (++begun === 1) void asked(async () => "answer");
    return begun === 1 ? never(calm) : Promise.resolve({ begun, clicking: clicking() });
  });
  expect(await work).toEqual({ begun: 2, clicking: false });
});

test("an error of the work itself is not tried again; a withdrawn one neither", async () => {
  let begun = 0;
  await expect(
    calmly(new AbortController().signal, () => (begun++, Promise.reject(new Error("broken")))),
  ).rejects.toThrow("broken");
  expect(begun).toBe(1);
  const withdrawn = new AbortController();
  const work = calmly(withdrawn.signal, (calm) => (withdrawn.abort(), never(calm)));
  await expect(work).rejects.toThrow();
});

test("while an answer is under way there is no quiet, and a failed answer ends it too", async () => {
  let fail: (error: Error) => void = () => undefined;
  const answer = asked(() => new Promise<never>((_, reject) => (fail = reject)));
  expect(clicking()).toBe(true);
  await expect(quiet(AbortSignal.abort())).rejects.toThrow();
  let calm = false;
  const waiting = quiet(new AbortController().signal).then(() => (calm = true));
  await new Promise((resolve) => setTimeout(resolve, 100));
  expect(calm).toBe(false);
  fail(new Error("no"));
  await expect(answer).rejects.toThrow("no");
  await waiting;
  expect(clicking()).toBe(false);
});

test("collecting a lens grid stops at a click and goes on after it", async () => {
  const frontEnd = globalThis as Record<symbol, unknown>;
  const seen = Symbol.for("lm-transparency.front-end");
  const model = new ToyModel({ nLayers: 3, nHeads: 2, dHead: 2, dModel: 4, dFfn: 5, dVocab: 9 });
  const unembed = model.unembed.bind(model);
  model.unembed = async (...given) => {
    await new Promise((resolve) => setTimeout(resolve, 20));
    return unembed(...given);
  };
  const run = await model.run(Array.from({ length: 60 }, (_, i) => i % 9));
  const rows: number[] = [];
  const residual = run.residual.bind(run);
  let end: (answer: string) => void = () => undefined;
  run.residual = (layer, point) => {
    // The first row of the grid is begun: somebody clicks.
    if (rows.push(layer) === 1) void asked(() => new Promise<string>((resolve) => (end = resolve)));
    return residual(layer, point);
  };
  frontEnd[seen] = true;
  try {
    const share = new PictureShare(answererOf(run), "routes", 2_000_000);
    const input = {
      picture: "lens-grid",
      options: {},
      facts: runFacts(run),
      selection: initialSelection(run.tokens.length),
    } as const;
    const collecting = share.collect(input, new AbortController().signal);
    while (rows.length === 0) await new Promise((resolve) => setTimeout(resolve, 5));
    // Long enough for the whole grid, if it went on.
    await new Promise((resolve) => setTimeout(resolve, 1000));
    expect(rows.length).toBe(1);
    end("answer");
    await collecting;
    expect(new Set(rows).size).toBeGreaterThan(1);
    expect((await share.payload(input)).data.length).toBeGreaterThan(200);
  } finally {
    frontEnd[seen] = undefined;
  }
});

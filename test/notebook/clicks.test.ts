/** What is only prepared gives way to what a page asks. */
import { asked, calmly, clicking, quiet } from "../../src/notebook/clicks";

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
  await expect(calmly(new AbortController().signal, () => (begun++, Promise.reject(new Error("broken"))))).rejects.toThrow("broken");
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

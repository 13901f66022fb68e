import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { follow } from "../../src/signals";

setFlagsFromString("--expose-gc");
const gc = runInNewContext("gc") as () => void;

const sleep = (ms: number): Promise<void> => new Promise((done) => setTimeout(done, ms));

test("a source that nothing else holds aborts all the same, whatever is collected meanwhile", async () => {
  const { signal, release } = follow(new AbortController().signal, AbortSignal.timeout(300));
  for (let n = 0; n < 30 && !signal.aborted; n++) {
    gc();
    await sleep(50);
  }
  expect(signal.aborted).toBe(true);
  expect((signal.reason as Error).name).toBe("TimeoutError");
  release();
});

test("the first source gives the reason, also one that is over already", () => {
  const [first, second] = [new AbortController(), new AbortController()];
  const both = follow(first.signal, undefined, null, second.signal);
  second.abort("second");
  first.abort("first");
  expect(both.signal.reason).toBe("second");
  expect(follow(new AbortController().signal, first.signal).signal.reason).toBe("first");
  expect(follow().signal.aborted).toBe(false);
});

test("a source that lives long keeps nothing of what was released", async () => {
  const long = new AbortController();
  const released: WeakRef<AbortSignal>[] = [];
  for (let n = 0; n < 1000; n++) {
    const { signal, release } = follow(long.signal, new AbortController().signal);
    released.push(new WeakRef(signal));
    release();
  }
  for (let n = 0; n < 5; n++) {
    await sleep(5);
    gc();
  }
  expect(released.filter((reference) => reference.deref() !== undefined).length).toBeLessThan(20);
  const last = follow(long.signal);
  last.release();
  long.abort();
  expect(last.signal.aborted).toBe(false);
});

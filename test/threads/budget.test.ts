import { MemoryBudget } from "../../src/threads/budget";
import { ByteCache } from "../../src/runtime/byte-cache";

const value = (bytes: number) => [async () => new Uint8Array(bytes), (made: Uint8Array) => made.byteLength] as const;
const settled = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

test("caches share one budget: what was used longest ago goes first, whoever remembers it", async () => {
  const budget = new MemoryBudget(100);
  const [first, second] = [new ByteCache(budget), new ByteCache(budget)];
  await first.get("a", ...value(40));
  await second.get("b", ...value(40));
  await settled();
  expect(budget.held).toBe(80);
  // Used again, "a" stays and "b" goes.
  await first.get("a", ...value(40));
  await second.get("c", ...value(40));
  await settled();
  expect(budget.held).toBe(80);
  const made: string[] = [];
  const ask = async (cache: ByteCache, key: string): Promise<void> => {
    await cache.get(
      key,
      async () => made.push(key),
      () => 0,
    );
  };
  await ask(first, "a");
  await ask(second, "b");
  expect(made).toEqual(["b"]);
});

test("what is cleared counts no longer; a single larger one is held alone", async () => {
  const budget = new MemoryBudget(100);
  const cache = new ByteCache(budget);
  await cache.get("small", ...value(50));
  await settled();
  await cache.get("large", ...value(500));
  await settled();
  expect(budget.held).toBe(500);
  cache.clear();
  expect(budget.held).toBe(0);
});

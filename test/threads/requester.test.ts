/** Requests that another side answers, or does not. */
import { Requester } from "../../src/requester";

const nothing = (): void => undefined;

test("answers come in any order, and each request ends once", async () => {
  let idle = 0;
  const requests = new Requester<number, string>(() => idle++);
  const sent: number[] = [];
  const all = [1, 2, 3].map((id) => requests.ask(id, () => sent.push(id)));
  expect([sent, requests.size]).toEqual([[1, 2, 3], 3]);
  for (const id of [3, 1, 99]) requests.resolve(id, `answer ${id}`);
  requests.reject(2, new RangeError("no"));
  requests.resolve(2, "late");
  expect(await Promise.allSettled(all)).toEqual([
    { status: "fulfilled", value: "answer 1" },
    { status: "rejected", reason: new RangeError("no") },
    { status: "fulfilled", value: "answer 3" },
  ]);
  expect([requests.size, idle]).toEqual([0, 1]);
});

test("what cannot be sent rejects at once, and leaves nothing behind", async () => {
  let idle = 0;
  const requests = new Requester<number, string>(() => idle++);
  const fail = (): void => {
    throw new Error("cannot be cloned");
  };
  await expect(requests.ask(1, fail)).rejects.toThrow("cannot be cloned");
  expect([requests.size, idle]).toEqual([0, 1]);
});

test("a signal gives up with its reason, tells the other side once, and leaves no listener", async () => {
  const requests = new Requester<number, string>();
  const [first, second] = [new AbortController(), new AbortController()];
  let told = 0;
  const terms = { signals: [first.signal, undefined, second.signal], givenUp: () => told++ };
  const given = requests.ask(1, nothing, terms);
  second.abort(new Error("enough"));
  await expect(given).rejects.toThrow("enough");
  first.abort(new Error("later"));
  expect([told, requests.size]).toEqual([1, 0]);
  let sent = 0;
  await expect(requests.ask(2, () => sent++, terms)).rejects.toThrow("later");
  expect([sent, requests.size]).toEqual([0, 0]);
  // An answered one is not given up any more.
  const third = new AbortController();
  const answered = requests.ask(3, nothing, { signals: [third.signal], givenUp: () => told++ });
  requests.resolve(3, "x");
  third.abort();
  expect([await answered, told]).toEqual(["x", 1]);
});

test("a signal gives up all that it was given with, by one listener", async () => {
  const requests = new Requester<number, string>();
  const { signal, abort } = (() => {
    const controller = new AbortController();
    return { signal: controller.signal, abort: () => controller.abort(new Error("enough")) };
  })();
  let held = 0;
  const [add, remove] = [signal.addEventListener.bind(signal), signal.removeEventListener.bind(signal)];
  signal.addEventListener = (...given: Parameters<typeof add>) => (held++, add(...given));
  signal.removeEventListener = (...given: Parameters<typeof remove>) => (held--, remove(...given));
  const told: number[] = [];
  const asked = (id: number): Promise<string> =>
    requests.ask(id, nothing, { signals: [signal, signal], givenUp: () => told.push(id) });
  const all = Array.from({ length: 20 }, (_, id) => asked(id));
  expect(held).toBe(1);
  for (let id = 0; id < 20; id++) requests.resolve(id, "x");
  await Promise.all(all);
  expect(held).toBe(0);
  const given = [asked(1), asked(2), asked(3)];
  requests.resolve(2, "x");
  abort();
  expect((await Promise.allSettled(given)).map(({ status }) => status)).toEqual(["rejected", "fulfilled", "rejected"]);
  expect([told, held, requests.size]).toEqual([[1, 3], 0, 0]);
});

test("a request that takes too long is given up", async () => {
  const requests = new Requester<string, string>();
  let told = 0;
  const late = requests.ask("a", nothing, { timeout: 5, late: () => new Error("too late"), givenUp: () => told++ });
  await expect(late).rejects.toThrow("too late");
  await expect(requests.ask("b", nothing, { timeout: 5 })).rejects.toThrow("There was no answer within 5 ms.");
  expect(told).toBe(1);
});

test("all end when the other side is gone; what was kept beside them is theirs until then", async () => {
  const requests = new Requester<number, string, string>();
  const all = [1, 2].map((id) => requests.ask(id, nothing, { context: `of ${id}` }));
  expect([requests.context(2), requests.context(3), requests.has(1), requests.has(3)]).toEqual([
    "of 2",
    undefined,
    true,
    false,
  ]);
  requests.rejectAll(new Error("gone"));
  for (const { status } of await Promise.allSettled(all)) expect(status).toBe("rejected");
  expect([requests.size, requests.context(2)]).toEqual([0, undefined]);
});

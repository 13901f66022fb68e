/** A model or run that is a cell's last value is one line, not what it holds inside. */
import { inspect } from "node:util";
import { ToyModel } from "../support/toy-model";

const model = new ToyModel({ nLayers: 2, nHeads: 3, dHead: 2, dModel: 6, dFfn: 5, dVocab: 9 });

test("a model: what it is and how it is computed", () => {
  const { info } = model;
  expect(inspect(model)).toMatch(
    new RegExp(
      `^${info.name} \\(${info.family}\\): .* parameters, 2 layers, 3 heads, width 6, vocabulary 9, ${info.dtype} on ${info.device}$`,
    ),
  );
  const grouped = Object.create(model, {
    info: { value: { ...info, nParams: 6_738_415_616, nHeads: 32, nKeyValueHeads: 8 } },
  }) as ToyModel;
  expect(inspect(grouped)).toContain(": 6.74B parameters, 2 layers, 32 heads (8 KV heads),");
});

test("a run: its model and its tokens, the first of many", async () => {
  const text = (id: number): string => JSON.stringify(model.token(id).text);
  expect(inspect(await model.run([1, 2]))).toBe(`Run of ${model.info.name}, 2 tokens: ${text(1)} ${text(2)}`);
  expect(inspect(await model.run([1]))).toBe(`Run of ${model.info.name}, 1 token: ${text(1)}`);
  const long = inspect(await model.run(new Array<number>(40).fill(3)));
  expect(long).toMatch(/ … 16 more$/);
  expect(long).not.toContain("\n");
});

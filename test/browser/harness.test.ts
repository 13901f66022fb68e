/** The harness itself, on Jupyter's own Python kernel: what it reads is what the notebook has. */
import fs from "node:fs";
import path from "node:path";
import { type Jupyter, makeNotebook, startJupyter } from "../support/jupyter";

let jupyter: Jupyter;
beforeAll(async () => {
  jupyter = await startJupyter({ files: { "a.ipynb": makeNotebook(["print(6 * 7)", "1 / 0", "'never'"], "python3") } });
}, 180_000);
afterAll(() => jupyter?.stop(), 30_000);

test("runs a notebook, reads outputs, saves, switches themes; no dialog and no request to anywhere", async () => {
  const notebook = await jupyter.open("a.ipynb");
  await notebook.runAll();
  expect((await notebook.outputData(0))[0].text).toBe("42\n");
  await notebook.outputs(0).getByText("42").waitFor();
  expect((await notebook.outputData(1))[0].ename).toBe("ZeroDivisionError");
  expect(await notebook.outputData(2)).toEqual([]);
  await notebook.run(2);
  expect((await notebook.outputData(2))[0].data?.["text/plain"]).toBe("'never'");
  expect(await notebook.trusted()).toBe(true);
  await notebook.save();
  expect(fs.readFileSync(path.join(jupyter.folder, "a.ipynb"), "utf8")).toContain("ZeroDivisionError");
  await notebook.theme("dark");
  await notebook.theme("light");
  // JupyterLab's news prompt comes a few seconds after the start.
  await notebook.page.waitForTimeout(3000);
  expect(await notebook.page.locator(".jp-Dialog, .Toastify__toast").count()).toBe(0);
  expect(jupyter.outside).toEqual([]);
  await notebook.close();
}, 120_000);

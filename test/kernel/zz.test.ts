import { KernelClient } from "../support/kernel-client";
import { resolve } from "node:path";
test("x", async () => {
  const k = await KernelClient.start({ cwd: resolve(__dirname, "../../notebooks") });
  try {
    for (const c of ['import { loadModel, flowGraph } from "lm-transparency"; const m = await loadModel("/work/shared/fixtures/models/gpt2-tiny"); const run = await m.run([1,2,3]);',
      'const shown = await (async () => { const picture = flowGraph(run); return picture; })(); 3',
      'const f = flowGraph(run); const g = run.explorer(); 4', 'const w = f.selection; const c = await run.attentionContributions(0); c.terms.dims',
      'import * as lm from "lm-transparency"; const zz = [flowGraph(run)].map(x => ({x})); zz.length',
      'throw new TypeError("boo")','const q: number = "s"','await model2.run("")', 'm.run("")','await m.run([])', '1+1']) {
      const r = await k.execute(c);
      console.log(c.slice(0, 60), JSON.stringify({ r: r.result, e: r.error, out: r.stdout, err: r.stderr }).slice(0, 900));
    }
  } finally { await (k as unknown as { stop(): Promise<void> }).stop?.(); }
}, 120000);

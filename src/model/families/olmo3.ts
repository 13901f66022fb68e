/** OLMo 3: OLMo 2 with windows in three of four layers. */
import type { Family } from "./family";
import { describeOlmo } from "./olmo2";
import { BARE_MODEL } from "./shared";

export const olmo3: Family = {
  name: "olmo3",
  modelTypes: ["olmo3"],
  prefixes: BARE_MODEL,
  describe: (config, weights) => describeOlmo("olmo3", config, weights),
};

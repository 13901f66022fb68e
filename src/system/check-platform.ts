/** Imported before everything that loads a native library: refuses in one sentence where these have no binary. */
import { whyNotHere } from "./platform";

const reason = whyNotHere();
if (reason !== undefined) throw new Error(reason);

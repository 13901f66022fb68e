/** Imported first by programs: the sentence, without a stack. */
import { whyNotHere } from "./platform";

const reason = whyNotHere();
if (reason !== undefined) {
  process.stderr.write(`${reason}\n`);
  process.exit(1);
}

/** The test page of all elements, built and served by its own program (`npm run gallery`) in a child process. */
import { spawn } from "node:child_process";
import path from "node:path";

export interface Gallery {
  /** With `?only=NAME` one state of one element, with `&theme=dark` in the dark. */
  readonly url: string;
  stop(): Promise<void>;
}

export async function startGallery(): Promise<Gallery> {
  const child = spawn(process.execPath, [path.resolve(__dirname, "../../widgets/gallery/serve.mjs"), "--port", "0"], {
    stdio: ["ignore", "pipe", "pipe"],
  });
  const exited = new Promise<void>((done) => child.once("exit", () => done()));
  let text = "";
  const url = await new Promise<string>((done, fail) => {
    const read = (chunk: Buffer): void => {
      text += chunk.toString();
      const found = /Gallery at (\S+)/.exec(text);
      if (found) done(found[1]);
    };
    child.stdout.on("data", read);
    child.stderr.on("data", read);
    child.once("exit", (code) => fail(new Error(`The gallery did not start (exit code ${code}).\n${text}`)));
  });
  return {
    url,
    stop: async () => {
      child.kill();
      await exited;
    },
  };
}

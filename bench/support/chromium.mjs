/**
 * A Chromium for measuring, spoken to over DevTools' pipe and nothing more. Test drivers (Playwright, Puppeteer) have
 * DevTools log the network, and then the page's own thread turns each WebSocket frame into base64 text for them: with 1
 * MB that is as long as its whole way from the kernel.
 */
import { spawn } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

/** Starts Chromium headless, opens `url`, and gives `{ evaluate(code), send(method, params), close() }`. */
export async function openPage(executablePath, url) {
  const profile = mkdtempSync(join(tmpdir(), "lmt-chromium-"));
  const flags = [
    "--headless=new",
    "--remote-debugging-pipe",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-dev-shm-usage",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--window-size=1400,1000",
  ];
  const child = spawn(
    executablePath,
    [...flags, ...(process.getuid?.() === 0 ? ["--no-sandbox"] : []), `--user-data-dir=${profile}`, "about:blank"],
    { stdio: ["ignore", "ignore", "ignore", "pipe", "pipe"] },
  );
  const exited = new Promise((resolve) => child.once("exit", resolve));
  const waiting = new Map();
  let text = "";
  let last = 0;
  child.stdio[4].setEncoding("utf8").on("data", (chunk) => {
    const messages = (text + chunk).split("\0");
    text = messages.pop();
    for (const { id, error, result } of messages.map((message) => JSON.parse(message))) {
      const asked = waiting.get(id);
      waiting.delete(id);
      if (error) asked?.reject(new Error(error.message));
      else asked?.resolve(result);
    }
  });
  exited.then(() => waiting.forEach(({ reject }) => reject(new Error("Chromium has ended."))));
  const call = (method, params = {}, sessionId) =>
    new Promise((resolve, reject) => {
      waiting.set(++last, { resolve, reject });
      child.stdio[3].write(`${JSON.stringify({ id: last, method, params, ...(sessionId ? { sessionId } : {}) })}\0`);
    });
  const { targetId } = await call("Target.createTarget", { url });
  const { sessionId } = await call("Target.attachToTarget", { targetId, flatten: true });
  return {
    send: (method, params) => call(method, params, sessionId),
    async evaluate(code) {
      const { result, exceptionDetails } = await call(
        "Runtime.evaluate",
        { expression: code, awaitPromise: true, returnByValue: true },
        sessionId,
      );
      if (exceptionDetails) throw new Error(exceptionDetails.exception?.description ?? exceptionDetails.text);
      return result.value;
    },
    async close() {
      await call("Browser.close").catch(() => {});
      await exited;
      rmSync(profile, { recursive: true, force: true, maxRetries: 5 });
    },
  };
}

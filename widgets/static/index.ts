import { PAYLOAD_MIME } from "../../src/payload/format";
import { StoredOutput } from "../shells/stored-output";

/**
 * The script of exported HTML files: draws every payload of the page over its still picture. Markup:
 * `<div data-lmt-output><script type="application/vnd.lm-transparency+json">…</script> still picture …</div>`. Without
 * this script, or where a payload cannot be read, the still picture stays.
 */
async function draw(output: HTMLElement): Promise<void> {
  const script = output.querySelector<HTMLScriptElement>(`script[type="${PAYLOAD_MIME}"]`);
  if (!script) return;
  let payload: unknown;
  try {
    payload = JSON.parse(script.textContent ?? "");
  } catch {
    payload = undefined;
  }
  const host = document.createElement("div");
  host.className = "lm-transparency";
  output.append(host);
  await new StoredOutput(host).show(payload, { trusted: false, beside: output.querySelector("img") !== null });
  const drawn = host.dataset.state === "stored";
  // The sentence of what is wrong stands above the still picture, that nothing was stored below it.
  for (const other of [...output.children])
    if (other !== host && other !== script) (other as HTMLElement).hidden = drawn;
  if (!drawn && host.dataset.state !== "still") output.prepend(host);
  // The output's own text says it.
  if (host.dataset.state === "still" && host.querySelector("[role=alert]")) host.remove();
}

function start(): void {
  for (const output of document.querySelectorAll<HTMLElement>("[data-lmt-output]")) void draw(output);
}

if (document.readyState === "loading") document.addEventListener("DOMContentLoaded", start, { once: true });
else start();

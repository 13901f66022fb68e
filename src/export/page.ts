import { createHash } from "node:crypto";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { writeFileAtomically } from "../system/write";
import type { Payload } from "../payload/format";
import { PAYLOAD_MIME } from "../payload/format";
import { escapeXml } from "./xml";

/**
 * Pages that need nothing else: one file with the pictures' script, their data and still pictures. No request goes
 * anywhere.
 */

/** The script that draws stored outputs, made by the build. */
async function pictureScript(): Promise<string> {
  const file = join(__dirname, "..", "static", "picture.js");
  try {
    return await readFile(file, "utf8");
  } catch {
    throw new Error(`${file} is missing: build the package ("npm run build").`);
  }
}

/** JSON inside a script element: nothing in it can end the element. */
export function scriptJson(value: unknown): string {
  return JSON.stringify(value)
    .replaceAll("<", "\\u003c")
    .replaceAll("\u2028", "\\u2028")
    .replaceAll("\u2029", "\\u2029");
}

/** An output that the script draws, over what is shown without it. */
export function outputHtml(payload: unknown, still: string): string {
  let json: string;
  try {
    json = scriptJson(payload);
  } catch {
    // Nested deeper than can be written: nothing that was stored here. The script says so.
    json = "null";
  }
  return `<div class="output" data-lmt-output><script type="${PAYLOAD_MIME}">${json}</script>\n${still}</div>`;
}

/** Colours and measures of our pages: light and dark by the reader's preference. */
export const PAGE_STYLE = `:root{color-scheme:light dark;--ground:#fff;--text:#1c2430;--soft:#5a6675;--line:#d9dfe6;--code:#f5f7f9;--key:#7b3fb0;--str:#0b6b3a;--num:#a8530b;--com:#5f6b78;--err:#b3261e}
@media(prefers-color-scheme:dark){:root{--ground:#15191f;--text:#e3e8ee;--soft:#9aa6b4;--line:#333c47;--code:#1d232b;--key:#c79bf2;--str:#7fd1a0;--num:#f0b070;--com:#93a0ad;--err:#ff8a80}}
*{box-sizing:border-box}
body{margin:0 auto;max-width:1200px;padding:28px 20px 60px;background:var(--ground);color:var(--text);font:15px/1.6 system-ui,-apple-system,"Segoe UI",Roboto,"DejaVu Sans",sans-serif}
h1,h2,h3,h4{line-height:1.25;margin:1.4em 0 .5em}
a{color:inherit;text-underline-offset:2px}
pre,code{font-family:ui-monospace,"SF Mono",Menlo,Consolas,"DejaVu Sans Mono",monospace;font-size:.9em}
code{overflow-wrap:anywhere}
pre{margin:0;white-space:pre-wrap;overflow-wrap:anywhere}
.markdown>:first-child,.markdown>:last-child{margin-block:0}
.markdown :not(pre)>code{background:var(--code);border-radius:4px;padding:.1em .3em}
.cell{margin:18px 0}
.input{position:relative;background:var(--code);border:1px solid var(--line);border-radius:6px;padding:10px 14px}
.input .prompt{position:absolute;right:8px;top:4px;color:var(--soft);font-size:11px;font-family:ui-monospace,monospace}
.output,.stream,.error{margin-top:8px;padding:2px 4px;overflow-x:auto}
.error,.stderr{color:var(--err)}
.output table{border-collapse:collapse;margin:6px 0}
.output th,.output td{padding:2px 10px;border-bottom:1px solid var(--line);text-align:left}
.output th[align=right],.output td[align=right]{text-align:right}
img{max-width:100%}
.left-out{color:var(--soft);font-style:italic}
.markdown blockquote{margin:0;padding-left:14px;border-left:3px solid var(--line);color:var(--soft)}
.markdown table{border-collapse:collapse}.markdown th,.markdown td{border:1px solid var(--line);padding:3px 10px}
.k,.kd,.kr,.kc,.kn,.kt,.ow{color:var(--key)}.s,.s1,.s2,.sb,.sa,.sr,.si{color:var(--str)}.m,.mi,.mf,.mh{color:var(--num)}.c,.c1,.cm,.ch{color:var(--com);font-style:italic}
.ansi-bold{font-weight:700}.ansi-red-fg,.ansi-red-intense-fg{color:var(--err)}.ansi-green-fg,.ansi-green-intense-fg{color:var(--str)}.ansi-yellow-fg,.ansi-yellow-intense-fg{color:var(--num)}.ansi-blue-fg,.ansi-blue-intense-fg,.ansi-cyan-fg,.ansi-cyan-intense-fg,.ansi-magenta-fg,.ansi-magenta-intense-fg{color:var(--key)}
@media print{body{max-width:none;padding:0}.cell{break-inside:avoid}}`;

/** Nothing is loaded and no other script runs, whatever a page has inside. */
export function pagePolicy(script: string): string {
  const hash = createHash("sha256").update(script, "utf8").digest("base64");
  return `default-src 'none'; script-src 'sha256-${hash}'; style-src 'unsafe-inline'; img-src data: blob:; font-src data:; media-src data:; base-uri 'none'; form-action 'none'`;
}

/** A whole page around `body`. */
export async function page({
  title,
  body,
  language = "en",
}: {
  readonly title: string;
  readonly body: string;
  readonly language?: string;
}): Promise<string> {
  const script = await pictureScript();
  return `<!DOCTYPE html>
<html lang="${escapeXml(language)}">
<head>
<meta charset="utf-8"/>
<meta http-equiv="Content-Security-Policy" content="${pagePolicy(script)}"/>
<meta name="viewport" content="width=device-width, initial-scale=1"/>
<title>${escapeXml(title)}</title>
<style>${PAGE_STYLE}</style>
</head>
<body>
${body}
<script>${script}</script>
</body>
</html>
`;
}

/** Writes one picture as a page. */
export async function savePicture(
  file: string,
  { title, payload, html }: { readonly title: string; readonly payload: Payload; readonly html: string },
): Promise<void> {
  await writeFileAtomically(file, await page({ title, body: `<main>${outputHtml(payload, html)}</main>` }));
}

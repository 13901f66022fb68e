/**
 * Puts the nbconvert template together: our files, and style, script and policy of pages as templates that Jinja leaves
 * as they are.
 */
import { createRequire } from "node:module";
import fs from "node:fs";
import path from "node:path";

const [root, source, target] = process.argv.slice(2);
const { PAGE_STYLE, pagePolicy } = createRequire(import.meta.url)(path.join(root, "dist", "export", "page.js"));
const script = fs.readFileSync(path.join(root, "dist", "static", "picture.js"), "utf8");
const raw = (text) => {
  if (text.includes("{% endraw %}")) throw new Error("a template cannot hold its own end");
  return `{% raw %}${text}{% endraw %}`;
};
fs.rmSync(target, { recursive: true, force: true });
fs.cpSync(source, target, { recursive: true });
const write = (name, text) => fs.writeFileSync(path.join(target, `${name}.html.j2`), raw(text));
write("style", `<style>${PAGE_STYLE}</style>`);
write("script", `<script>${script}</script>`);
write("policy", `<meta http-equiv="Content-Security-Policy" content="${pagePolicy(script)}"/>`);

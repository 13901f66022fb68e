/**
 * `npm run gallery`: builds the test page of all elements and serves it on this machine alone. `--port N`,
 * `--build-only`.
 */
import { copyFileSync, readFileSync } from "node:fs";
import { createServer } from "node:http";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const root = join(dirname(fileURLToPath(import.meta.url)), "../..");
const require = createRequire(import.meta.url);

/** Bundles the page into dist/gallery. */
export async function buildGallery() {
  const webpack = require("webpack");
  const [config] = require(join(root, "webpack.config.js"))({ gallery: true });
  await new Promise((resolve, reject) => {
    webpack({ ...config, context: root }, (error, stats) => {
      if (error) reject(error);
      else if (stats.hasErrors()) reject(new Error(stats.toString({ all: false, errors: true })));
      else resolve(undefined);
    });
  });
  copyFileSync(join(root, "widgets/gallery/index.html"), join(root, "dist/gallery/index.html"));
}

/** Serves dist/gallery on 127.0.0.1; port 0 takes a free one. */
export function serveGallery(port = 0) {
  const files = {
    "/": ["index.html", "text/html; charset=utf-8"],
    "/gallery.js": ["gallery.js", "text/javascript; charset=utf-8"],
  };
  const server = createServer((request, response) => {
    const entry = files[new URL(request.url ?? "/", "http://localhost").pathname];
    if (!entry) return void response.writeHead(404).end();
    response
      .writeHead(200, { "content-type": entry[1], "cache-control": "no-store" })
      .end(readFileSync(join(root, "dist/gallery", entry[0])));
  });
  return new Promise((resolve, reject) => {
    server.once("error", reject);
    server.listen(port, "127.0.0.1", () =>
      resolve({ url: `http://127.0.0.1:${server.address().port}/`, close: () => server.close() }),
    );
  });
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const at = process.argv.indexOf("--port");
  await buildGallery();
  if (!process.argv.includes("--build-only"))
    console.log(`Gallery at ${(await serveGallery(at > 0 ? Number(process.argv[at + 1]) : 8123)).url}`);
}

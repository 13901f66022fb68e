/**
 * `npm start`: from a clean clone to JupyterLab on the first notebook. No install is needed before it.
 * This file must load in old Nodes too, to say so; everything else is imported after the check.
 */
const [major, minor] = process.versions.node.split(".").map(Number);
if (major < 20 || (major === 20 && minor < 19)) {
  console.error(
    "\nnpm start: Node.js 20.19 or newer is needed, this is " +
      process.versions.node +
      " (" +
      process.execPath +
      "): install a newer one from nodejs.org and call npm start again.",
  );
  process.exit(1);
}
const { main } = await import("./lib/start-main.mjs");
await main(process.argv.slice(2));

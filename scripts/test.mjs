/**
 * `npm test`: everything, from a clean clone. No install is needed before it.
 *   npm test                 all parts
 *   npm test -- unit kernel  some of them
 * This file must load in old Nodes too, to say so; everything else is imported after the check.
 */
const [major, minor] = process.versions.node.split(".").map(Number);
if (major < 20 || (major === 20 && minor < 19)) {
  console.error(
    "npm test: Node.js 20.19 or newer is needed, this is " +
      process.versions.node +
      " (" +
      process.execPath +
      "): install a newer one from nodejs.org and call npm test again.",
  );
  process.exit(1);
}
const { main } = await import("./lib/test-main.mjs");
await main(process.argv.slice(2));

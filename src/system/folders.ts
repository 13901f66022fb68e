import { mkdir, stat } from "node:fs/promises";
import { dirname } from "node:path";

/**
 * Makes a folder and those above it. Node's own `recursive` never comes back where one cannot be made for want of
 * another (below /proc).
 */
export async function makeFolder(folder: string): Promise<void> {
  const info = await stat(folder).catch(() => undefined);
  if (info?.isDirectory()) return;
  const parent = dirname(folder);
  if (info === undefined && parent !== folder) await makeFolder(parent);
  await mkdir(folder).catch(async (error: NodeJS.ErrnoException) => {
    // Another process was quicker.
    if (
      error.code !== "EEXIST" ||
      !(await stat(folder).then(
        (now) => now.isDirectory(),
        () => false,
      ))
    )
      throw error;
  });
}

/** One process at a time: a folder is made atomically, and belongs to nobody once the process that made it is gone. */
import fs from "node:fs";
import path from "node:path";

const alive = (pid) => {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return error.code === "EPERM";
  }
};

/** Runs `task` while holding the lock `folder`; calls `onWait(pid)` once if another process has it. */
export async function withLock(folder, task, onWait = () => {}) {
  fs.mkdirSync(path.dirname(folder), { recursive: true });
  const owner = path.join(folder, "pid");
  let waited = false;
  for (;;) {
    try {
      fs.mkdirSync(folder);
      fs.writeFileSync(owner, String(process.pid));
      break;
    } catch (error) {
      if (error.code !== "EEXIST") throw error;
    }
    const pid = Number(fs.existsSync(owner) ? fs.readFileSync(owner, "utf8") : NaN);
    const age = Date.now() - (fs.statSync(folder, { throwIfNoEntry: false })?.mtimeMs ?? Date.now());
    // Without a pid the maker is between its two lines above, or was killed there.
    if (pid > 0 ? !alive(pid) : age > 2000) {
      fs.rmSync(folder, { recursive: true, force: true });
      continue;
    }
    if (!waited) onWait(pid);
    waited = true;
    await new Promise((done) => setTimeout(done, 200));
  }
  const release = () => fs.rmSync(folder, { recursive: true, force: true });
  process.once("exit", release);
  try {
    return await task();
  } finally {
    process.off("exit", release);
    release();
  }
}

/**
 * Starts the JupyterLab that `npm start` starts, for tests: options as JSON in argv, one JSON line when up, ends with
 * its standard input.
 */
import { jupyterEnvironment } from "../../scripts/lib/install.mjs";
import { choosePort, startLab } from "../../scripts/lib/lab.mjs";
import net from "node:net";

const { home, folder, app, args, env, jupyterPath } = JSON.parse(process.argv[2]);
const freePort = () =>
  new Promise((done) => {
    const server = net.createServer().listen(0, "127.0.0.1", () => {
      const { port } = server.address();
      server.close(() => done(port));
    });
  });

const environment = { ...jupyterEnvironment(home), ...env };
if (jupyterPath !== undefined) environment.JUPYTER_PATH = jupyterPath;
try {
  const port = await choosePort(await freePort());
  const lab = await startLab({ port, home, folder, app, args, environment });
  process.stdout.write(`${JSON.stringify({ base: lab.base, token: lab.token, pid: lab.process.pid })}\n`);
  process.stdin.resume().on("end", async () => {
    await lab.stop();
    process.exit(0);
  });
  await lab.ended;
  process.exit(1);
} catch (error) {
  console.error(error.detail ?? "", error.message ?? error);
  process.exit(1);
}

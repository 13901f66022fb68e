/** Where the native libraries have binaries, and one sentence for everywhere else. Imports nothing of this package. */
import { readFileSync } from "node:fs";

/** Systems that onnxruntime-node and zeromq both have binaries for, as `process.platform`-`process.arch`. */
export const PLATFORMS: readonly string[] = ["linux-x64", "linux-arm64", "darwin-arm64", "win32-x64", "win32-arm64"];

/** The oldest Node.js. */
export const OLDEST_NODE = "20.19";

/** What decides whether this package can run. */
export interface Host {
  readonly node: string;
  readonly platform: string;
  readonly arch: string;
  /** The C library is musl (Alpine Linux). */
  readonly musl: boolean;
}

/** This process. */
export function host(): Host {
  const { platform, arch } = process;
  return { node: process.versions.node, platform, arch, musl: platform === "linux" && isMusl() };
}

function isMusl(): boolean {
  try {
    // A script that says whose it is.
    return /\bmusl\b/.test(readFileSync("/usr/bin/ldd", "latin1").slice(0, 4096));
  } catch {
    const { header } = process.report.getReport() as unknown as { header: { glibcVersionRuntime?: string } };
    return header.glibcVersionRuntime === undefined;
  }
}

/** Why this package cannot run here, in one sentence; undefined where it can. */
export function whyNotHere({ node, platform, arch, musl }: Host = host()): string | undefined {
  const [major, minor] = node.split(".").map(Number);
  const [oldestMajor, oldestMinor] = OLDEST_NODE.split(".").map(Number);
  if (major < oldestMajor || (major === oldestMajor && minor < oldestMinor))
    return `lm-transparency needs Node.js ${OLDEST_NODE} or newer, and this is ${node} (${process.execPath}): install a newer one from nodejs.org.`;
  if (platform === "darwin" && arch === "x64")
    return "lm-transparency does not run on Macs with an Intel processor: ONNX Runtime has no binary for them; use a Mac with Apple silicon (with a Node.js for arm64), or Linux.";
  if (!PLATFORMS.includes(`${platform}-${arch}`))
    return `lm-transparency does not run on ${platform} with ${arch}: ONNX Runtime and zeromq have binaries for Linux (x64, arm64), macOS (arm64) and Windows (x64, arm64).`;
  if (musl)
    return "lm-transparency does not run on a Linux with musl (Alpine): ONNX Runtime has binaries for glibc only; use an image with glibc, such as node:22-bookworm-slim.";
  return undefined;
}

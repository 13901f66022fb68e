import { createHash } from "node:crypto";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";

export interface Repo {
  readonly files: Record<string, Buffer>;
  /** Branches and tags → commits. */
  readonly refs: Record<string, string>;
  /** Token that may read it. */
  readonly token?: string;
  readonly gated?: boolean;
  /** List files without checksums, as some mirrors do. */
  readonly bare?: boolean;
  /** Address of the server that has the large files: requests of them are sent there. */
  readonly cdn?: string;
  /** Where the list of files is said to go on. */
  readonly next?: string;
}

export interface Fault {
  /** Close the connection after so many bytes of the body. */
  readonly cutAfter?: number;
  /** Answer without the bytes that were asked for. */
  readonly corrupt?: boolean;
  readonly status?: number;
  readonly ignoreRange?: boolean;
  /** Milliseconds between pieces of 16 KiB. */
  readonly slow?: number;
}

/** A server on 127.0.0.1 that speaks the hub's protocol, with faults to order. */
export class HubServer {
  readonly repos = new Map<string, Repo>();
  /** `METHOD path range` of each request. */
  readonly requests: string[] = [];
  /** Requests to `/cdn/SHA256` of files of any repository; as storage does, one that brings a token is refused. */
  readonly stored: { readonly range: string; readonly authorization?: string }[] = [];
  /** Answers of the next requests whose path includes a text, first come first. */
  readonly instead = new Map<string, ((request: IncomingMessage, response: ServerResponse) => void)[]>();
  /** Faults of the next requests of a file, first come first. */
  readonly faults = new Map<string, Fault[]>();
  readonly #server = createServer((request, response) => {
    this.#answer(request, response).catch(() => response.destroy());
  });

  async start(): Promise<string> {
    await new Promise<void>((resolve) => this.#server.listen(0, "127.0.0.1", resolve));
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  async stop(): Promise<void> {
    this.#server.closeAllConnections();
    await new Promise<void>((resolve) => this.#server.close(() => resolve()));
  }

  /** Requests of files, as `path range`. */
  downloads(): string[] {
    return this.requests
      .filter((request) => request.includes("/resolve/"))
      .map((request) => request.replace(/^.*\/resolve\/[0-9a-f]{40}\//, "").trim());
  }

  async #answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const url = new URL(request.url ?? "/", "http://hub");
    const range = request.headers.range ?? "";
    this.requests.push(`${request.method} ${url.pathname} ${range}`);
    const instead = [...this.instead]
      .find(([text, answers]) => url.pathname.includes(text) && answers.length > 0)?.[1]
      .shift();
    if (instead !== undefined) return instead(request, response);
    if (url.pathname.startsWith("/cdn/")) {
      this.stored.push({ range, authorization: request.headers.authorization });
      const bytes = [...this.repos.values()]
        .flatMap((repo) => Object.values(repo.files))
        .find((content) => `/cdn/${sha256(content)}` === url.pathname);
      const fault = this.faults.get("cdn")?.shift() ?? {};
      const refused = fault.status ?? (request.headers.authorization !== undefined ? 400 : undefined);
      if (bytes === undefined || refused !== undefined) response.writeHead(refused ?? 404).end();
      else void send(request, response, bytes, range, fault, { etag: '"0123456789abcdef0123456789abcdef-2"' });
      return;
    }
    const refuse = (status: number, code: string): void => {
      response
        .writeHead(status, { "x-error-code": code, "content-type": "application/json" })
        .end(JSON.stringify({ error: code }));
    };
    const api = /^\/api\/models\/(.+?)\/(revision|tree)\/([^/]+)$/.exec(url.pathname);
    const file = /^\/(.+?)\/resolve\/([^/]+)\/(.+)$/.exec(url.pathname);
    const repo = this.repos.get(api?.[1] ?? file?.[1] ?? "");
    const token = request.headers.authorization?.replace("Bearer ", "");
    if (repo === undefined || (repo.token !== undefined && !repo.gated && repo.token !== token))
      return refuse(401, "RepoNotFound");
    const revision = decodeURIComponent(api?.[3] ?? file?.[2] ?? "");
    const commit = Object.values(repo.refs).includes(revision) ? revision : repo.refs[revision];
    if (commit === undefined) return refuse(404, "RevisionNotFound");
    if (api !== null) {
      const body =
        api[2] === "revision"
          ? {
              _id: "1",
              id: api[1],
              sha: commit,
              private: false,
              downloads: 0,
              likes: 0,
              gated: repo.gated ? "manual" : false,
              lastModified: "2024-01-01T00:00:00.000Z",
            }
          : Object.entries(repo.files)
              .filter(([path]) => url.searchParams.get("recursive") === "true" || !path.includes("/"))
              .map(([path, bytes]) => ({
                type: "file",
                path,
                size: bytes.length,
                ...(!repo.bare && { oid: gitSha(bytes) }),
                ...(!repo.bare &&
                  isLarge(path) && { lfs: { oid: sha256(bytes), size: bytes.length, pointerSize: 130 } }),
              }));
      response
        .writeHead(200, {
          "content-type": "application/json",
          ...(repo.next !== undefined && api[2] === "tree" && { link: `<${repo.next}>; rel="next"` }),
        })
        .end(JSON.stringify(body));
      return;
    }
    if (repo.gated && repo.token !== token) return refuse(token === undefined ? 401 : 403, "GatedRepo");
    const path = decodeURIComponent(file?.[3] ?? "");
    const bytes = repo.files[path];
    if (bytes === undefined) return refuse(404, "EntryNotFound");
    const fault = this.faults.get(path)?.shift() ?? {};
    if (fault.status !== undefined) return refuse(fault.status, "");
    if (repo.cdn !== undefined && isLarge(path)) {
      const sum = sha256(bytes);
      response
        .writeHead(302, {
          location: `${repo.cdn}/cdn/${sum}`,
          "x-linked-etag": `"${sum}"`,
          "x-linked-size": String(bytes.length),
          "x-repo-commit": commit,
          etag: '"of-the-redirect"',
        })
        .end();
      return;
    }
    await send(request, response, bytes, range, fault, {
      etag: `"${isLarge(path) ? sha256(bytes) : gitSha(bytes)}"`,
      "x-repo-commit": commit,
    });
  }
}

async function send(
  request: IncomingMessage,
  response: ServerResponse,
  bytes: Buffer,
  range: string,
  fault: Fault,
  headers: Record<string, string>,
): Promise<void> {
  const start = fault.ignoreRange ? 0 : Number(/^bytes=(\d+)-$/.exec(range)?.[1] ?? 0);
  if (start >= bytes.length && start > 0) {
    response.writeHead(416).end();
    return;
  }
  const body = fault.corrupt ? Buffer.alloc(bytes.length - start, 7) : bytes.subarray(start);
  response.writeHead(start > 0 ? 206 : 200, { "content-length": body.length, ...headers });
  if (request.method === "HEAD") return void response.end();
  const end = Math.min(body.length, fault.cutAfter ?? body.length);
  for (let i = 0; i < end; i += 16384) {
    if (response.destroyed) return;
    response.write(body.subarray(i, Math.min(i + 16384, end)));
    await new Promise((resolve) => setTimeout(resolve, fault.slow ?? 0));
  }
  // A half-closed socket: what was written arrives, the rest never does.
  if (end < body.length) response.socket?.end();
  else response.end();
}

const isLarge = (path: string): boolean => /\.(safetensors|gguf)$/.test(path);
export const sha256 = (bytes: Buffer): string => createHash("sha256").update(bytes).digest("hex");
export const gitSha = (bytes: Buffer): string =>
  createHash("sha1").update(`blob ${bytes.length}\0`).update(bytes).digest("hex");

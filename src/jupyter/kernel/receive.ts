import { Promise, setTimeout } from "../natives";
/** A socket as far as it is read here. */
interface Readable {
  readonly closed: boolean;
  receive(): Promise<Uint8Array[]>;
}

/** After a failure the socket is asked again a moment later: a peer that keeps failing must not take the thread. */
const PAUSE_MS = 5;

/**
 * Hands every message of a socket to `take`, until the socket is closed. Neither what a peer sends (garbage may fail in
 * native code) nor an error of `take` ends it: nobody would read the channel any more. `report` is told what `take`
 * threw.
 */
export async function receiveForEver(
  socket: Readable,
  take: (frames: Uint8Array[]) => unknown,
  report: (error: unknown) => void,
): Promise<void> {
  while (!socket.closed) {
    let frames: Uint8Array[];
    try {
      frames = await socket.receive();
    } catch {
      if (socket.closed) return;
      await new Promise((resolve) => setTimeout(resolve, PAUSE_MS));
      continue;
    }
    try {
      await take(frames);
    } catch (error) {
      if (!socket.closed) report(error);
    }
  }
}

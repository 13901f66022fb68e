/** Reads until `check` passes, or gives its error after a minute: tests wait for what happens, not for time. */
export async function eventually<T>(
  read: () => Promise<T>,
  check: (value: T) => void,
  timeout = 60_000,
): Promise<void> {
  for (const end = Date.now() + timeout; ;) {
    const value = await read();
    try {
      return check(value);
    } catch (error) {
      if (Date.now() > end) throw error;
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
  }
}

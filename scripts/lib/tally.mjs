/** What the parts of `npm test` counted, and the lines that it closes with. */
export class Tally {
  passed = 0;
  failed = 0;
  skipped = 0;
  #table = [];
  #retried = [];

  /** @param retried names of tests that failed and were run once more, whatever came of it */
  add(part, seconds, { passed, failed, skipped = 0, retried = [] }) {
    this.passed += passed;
    this.failed += failed;
    this.skipped += skipped;
    this.#retried.push(...retried);
    const more = `${skipped ? ` ${skipped} skipped` : ""}${retried.length ? ` ${retried.length} retried` : ""}`;
    this.#table.push(
      `${part.padEnd(12)} ${String(passed).padStart(5)} passed ${String(failed).padStart(4)} failed${more}  ${seconds.toFixed(0)} s`,
    );
  }

  /** The last one is for machines: nothing but the sums. */
  lines() {
    const retried = this.#retried.length
      ? [`${this.#retried.length} retried:`, ...this.#retried.map((name) => `  ${name.replace(/\s+/g, " ")}`), ""]
      : [];
    return [
      "",
      ...this.#table,
      "",
      ...retried,
      `${this.passed} passed, ${this.failed} failed${this.skipped > 0 ? `, ${this.skipped} skipped` : ""}`,
    ];
  }
}

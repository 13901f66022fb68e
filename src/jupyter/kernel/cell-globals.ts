/**
 * What every cell has without an import. Loaded by the TypeScript service as ambient types; the kernel defines the
 * values.
 */

declare global {
  /**
   * Asks the user for a line of text below the running cell.
   * @param options `password: true` hides what is typed.
   */
  function input(prompt?: string, options?: { readonly password?: boolean }): Promise<string>;
}

export {};

/** Names by which translated code and the kernel that runs it know each other. */

/** Global function that translated loops call; the kernel defines it. */
export const INTERRUPT_CHECK = "__interruptCheck__";
/** What `import.meta` becomes: a parameter of the function that wraps the code. */
export const IMPORT_META = "__importMeta__";
/** Where a cell leaves the value of its last expression. */
export const LAST_EXPRESSION = "__lastExpression__";

/**
 * Imported before anything else: onnxruntime reads this when its native library loads, and a worker thread's
 * environment is a copy that native code does not see. Without it the library reports usage and writes an id under the
 * user's cache folder.
 */
process.env["ORT_DISABLE_TELEMETRY"] = "1";

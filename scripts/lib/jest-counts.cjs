/** A reporter of jest that writes only its counts, to the file in LM_TRANSPARENCY_COUNTS. */
const fs = require("node:fs");

module.exports = class {
  onRunComplete(_contexts, results) {
    const { numPassedTests, numFailedTests, numPendingTests, numTodoTests, numTotalTests, numRuntimeErrorTestSuites } =
      results;
    // Tests that failed and were run again, whatever came of it.
    const retried = results.testResults.flatMap(({ testResults }) =>
      testResults.filter(({ invocations }) => (invocations ?? 1) > 1).map(({ fullName }) => fullName),
    );
    fs.writeFileSync(
      process.env.LM_TRANSPARENCY_COUNTS,
      JSON.stringify({
        numPassedTests,
        numFailedTests,
        numPendingTests,
        numTodoTests,
        numTotalTests,
        numRuntimeErrorTestSuites,
        retried,
      }),
    );
  }
};

/** For tests that drive servers and browsers: a test that fails is run once more, and the first failure is printed. */
jest.retryTimes(1, { logErrorsBeforeRetry: true });

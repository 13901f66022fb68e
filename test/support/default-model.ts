/** The default model's file; fetched into the user's cache where it is not there yet (`npm test` did so before). */
import { defaultModel } from "../../src/model/default-model";

export const defaultModelFile = (): Promise<string> => defaultModel();

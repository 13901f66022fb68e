/** Configuration of the Explorer: the published tool's JSON, checked. */
export {
  ConfigError,
  loadConfig,
  readConfig,
  readDataset,
  type ConfigOptions,
  type ConfiguredModel,
  type ExplorerSettings,
} from "./config";
export { type ExplorerConfig } from "./keys";

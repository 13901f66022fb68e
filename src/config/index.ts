/** Configuration of the Explorer: the published tool's JSON, checked. */
export {
  ConfigError,
  loadConfig,
  readConfig,
  readPrompts,
  type ConfigOptions,
  type ConfiguredModel,
  type ExplorerSettings,
} from "./config";
export { SHARE_LEVELS, type ExplorerConfig, type ShareLevel } from "./keys";

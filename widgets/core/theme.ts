/** Light or dark, as the page around us says: JupyterLab's theme, VS Code's, or the system's preference. */

export type Theme = "light" | "dark";

const systemDark = matchMedia("(prefers-color-scheme: dark)");

/** The page's theme now. */
export function pageTheme(): Theme {
  const body = document.body;
  const jupyter = body?.dataset.jpThemeLight;
  if (jupyter !== undefined) return jupyter === "false" ? "dark" : "light";
  if (body?.classList.contains("vscode-dark") || body?.classList.contains("vscode-high-contrast")) return "dark";
  if (body?.classList.contains("vscode-light")) return "light";
  const own = document.documentElement.dataset.lmtTheme;
  if (own === "dark" || own === "light") return own;
  return systemDark.matches ? "dark" : "light";
}

/** Calls `listener` whenever the page's theme may have changed, until `signal` aborts. */
export function onThemeChange(listener: () => void, signal: AbortSignal): void {
  const observer = new MutationObserver(listener);
  observer.observe(document.documentElement, { attributes: true, attributeFilter: ["class", "data-lmt-theme"] });
  if (document.body)
    observer.observe(document.body, {
      attributes: true,
      attributeFilter: ["class", "data-jp-theme-light", "data-jp-theme-name"],
    });
  systemDark.addEventListener("change", listener, { signal });
  signal.addEventListener("abort", () => observer.disconnect());
}

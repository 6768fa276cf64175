// Light, dark, or as the system has it.

import { byId, recall, setText } from "./dom.js";

const KEY = "holdfast-theme";
const THEMES = ["system", "light", "dark"];

function apply(theme) {
  if (theme === "system") delete document.documentElement.dataset.theme;
  else document.documentElement.dataset.theme = theme;
  setText(byId("theme"), `Theme: ${theme}`);
}

export function start() {
  const stored = recall(() => localStorage.getItem(KEY));
  let theme = THEMES.includes(stored) ? stored : "system";
  apply(theme);
  byId("theme").addEventListener("click", () => {
    theme = THEMES[(THEMES.indexOf(theme) + 1) % THEMES.length];
    recall(() => localStorage.setItem(KEY, theme));
    apply(theme);
  });
}

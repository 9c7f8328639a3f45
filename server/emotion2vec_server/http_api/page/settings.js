// What the person has chosen, kept for the next visit; the token only until the tab is closed.

const KEPT = "emotion2vec.settings", TOKEN = "emotion2vec.token";
const DEFAULTS = { model: "", kind: "heatmap", channels: false, speechOnly: false };

function kept() {
  try {
    return JSON.parse(localStorage.getItem(KEPT)) ?? {};
  } catch {
    return {}; // as another release may have left it
  }
}

const values = { ...DEFAULTS, ...kept() };

export const setting = (name) => values[name];

export function keep(name, value) {
  values[name] = value;
  localStorage.setItem(KEPT, JSON.stringify(values));
}

export const token = () => sessionStorage.getItem(TOKEN) ?? "";

export const keepToken = (given) => sessionStorage.setItem(TOKEN, given);

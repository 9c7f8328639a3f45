// The page's languages. Elements that say `data-words="key"` in the HTML get their text from here,
// and those with `data-words-label` their name for screen readers.

import en from "./words/en.js";
import zh from "./words/zh.js";

const LANGUAGES = { en, zh };
const KEPT = "emotion2vec.language";

let language = kept() ?? (navigator.language.startsWith("zh") ? "zh" : "en");
const natives = new Map();

function kept() {
  const found = localStorage.getItem(KEPT);
  return found in LANGUAGES ? found : null;
}

export const currentLanguage = () => language;

export function chooseLanguage(chosen) {
  language = chosen;
  localStorage.setItem(KEPT, chosen);
}

/** The words for a key; `values` fill their {places}. */
export function t(key, values = {}) {
  const words = LANGUAGES[language][key] ?? en[key];
  if (typeof words === "function") return words(values);
  return words.replace(/\{(\w+)\}/g, (_, name) => values[name]);
}

export const has = (key) => key in LANGUAGES[language];

/** Takes down what a model calls its labels in its authors' language: [{name, native_name}]. */
export function learnLabels(labels) {
  for (const { name, native_name: native } of labels) {
    if (native && !native.startsWith("<")) natives.set(name, native);
  }
}

/** A label as it is shown. */
export function labelText(label) {
  if (language === "en") return label;
  return natives.get(label) ?? LANGUAGES[language][`label.${label}`] ?? label;
}

/** "88.9 %", or with fewer digits. */
export const percent = (probability, digits = 0) =>
  new Intl.NumberFormat(language, {
    style: "percent",
    minimumFractionDigits: digits,
    maximumFractionDigits: digits,
  }).format(probability);

/** Puts the words of the language into a part of the page. */
export function translate(root) {
  document.documentElement.lang = language === "zh" ? "zh-CN" : "en";
  for (const found of root.querySelectorAll("[data-words]")) found.textContent = t(found.dataset.words);
  for (const found of root.querySelectorAll("[data-words-label]")) {
    found.setAttribute("aria-label", t(found.dataset.wordsLabel));
  }
}

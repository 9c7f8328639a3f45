// Readings and warnings of one result, in words.

import { element, icon } from "./dom.js";
import { currentLanguage, has, labelText, percent, t } from "./i18n.js";
import { ALERT_LABELS } from "./readings.js";

const LONG = 60; // seconds, beyond which changes a minute say more than their number

/** A list of them; null where there is nothing to say. */
export function notesOf(readings, warnings) {
  const notes = [...readings.alerts.map(alertNote), ...warnings.map(warningNote), ...readingNotes(readings)];
  if (!notes.length) return null;
  const items = notes.map(({ kind, text }) => element("li", { class: `note ${kind}` }, icon(kind), element("span", {}, text)));
  return element("ul", { class: "notes", "aria-label": t("notes") }, ...items);
}

const alertNote = ({ start, end, probability }) => ({
  kind: "alert",
  text: t("reading.alert", {
    labels: ALERT_LABELS.map(labelText).join(t("or")),
    start: start.toFixed(1),
    end: end.toFixed(1),
    percent: percent(probability),
  }),
});

/** The server's own words, which are English; in other languages, ours for its code. */
export function warningNote({ code, message }) {
  const key = `warning.${code}`;
  const text = currentLanguage() !== "en" && has(key) ? t(key) : sentence(message);
  return { kind: "warning", text };
}

function readingNotes({ mixed, stability }) {
  const notes = [];
  if (mixed) {
    const [first, second] = mixed.map(({ label, probability }) => ({
      label: labelText(label),
      percent: percent(probability),
    }));
    notes.push({ kind: "info", text: t("reading.mixed", { first, second }) });
  }
  if (stability) notes.push({ kind: "info", text: stabilityText(stability) });
  return notes;
}

function stabilityText({ seconds, switches, perSecond, steady }) {
  const key = steady ? "reading.steady" : "reading.unsteady";
  if (seconds > LONG && switches > 2) return t(`${key}.minute`, { rate: (60 * perSecond).toFixed(1) });
  return t(key, { changes: switches });
}

/** With a capital letter and a full stop. */
export function sentence(text) {
  if (!text) return "";
  return text[0].toUpperCase() + text.slice(1) + (/[.!?]$/.test(text) ? "" : ".");
}

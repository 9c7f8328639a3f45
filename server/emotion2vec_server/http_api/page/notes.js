// Readings and warnings of one result, in words.

import { clock } from "./clock.js";
import { element, icon } from "./dom.js";
import { currentLanguage, has, labelText, percent, t } from "./i18n.js";
import { ALERT_LABELS } from "./readings.js";

const FEW = 2; // alerts that have a line each
const LONG = 60; // seconds, beyond which changes a minute say more than their number

/** A list of them; null where there is nothing to say. `goTo` is called with a time to go to. */
export function notesOf(readings, warnings, goTo) {
  const alerts = readings.alerts ?? [];
  const notes = [
    ...(alerts.length > FEW ? [alertsNote(alerts, goTo)] : alerts.map(alertNote)),
    ...warnings.map(warningNote),
    ...readingNotes(readings),
  ];
  if (!notes.length) return null;
  const items = notes.map(({ kind, text, more }) =>
    element("li", { class: `note ${kind}` }, icon(kind), element("span", {}, text, more)),
  );
  return element("ul", { class: "notes", "aria-label": t("notes") }, ...items);
}

export const alertNote = ({ start, end, probability }) => ({
  kind: "alert",
  text: t("reading.alert", {
    labels: ALERT_LABELS.map(labelText).join(t("or")),
    start: start.toFixed(1),
    end: end.toFixed(1),
    percent: percent(probability),
  }),
});

/** Many of them in one. */
function alertsNote(alerts, goTo) {
  const seconds = alerts.reduce((sum, { start, end }) => sum + end - start, 0);
  const weighted = alerts.reduce((sum, { start, end, probability }) => sum + probability * (end - start), 0);
  const text = t("reading.alerts", {
    labels: ALERT_LABELS.map(labelText).join(t("or")),
    count: alerts.length,
    seconds: seconds.toFixed(0),
    percent: percent(weighted / seconds),
  });
  const times = alerts.map(({ start }) =>
    element(
      "button",
      { type: "button", class: "note-time", "aria-label": t("go", { time: clock(start) }), on: { click: () => goTo(start) } },
      clock(start),
    ),
  );
  return { kind: "alert", text, more: element("span", { class: "note-times" }, ...times) };
}

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

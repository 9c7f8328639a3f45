// What is shown of a recording that failed: why, and what to do.

import { element, icon } from "./dom.js";
import { t } from "./i18n.js";
import { problemOf } from "./problem.js";

/** `retry` is called when the person asks for another try. */
export function failureOf(recording, retry) {
  const { title, text, detail, detailLanguage } = problemOf(recording.error);
  return element(
    "article",
    { class: "failure", "aria-label": recording.name },
    icon("warning"),
    element("h2", {}, title),
    element("p", { class: "faint" }, recording.name),
    detail && element("p", { class: "failure-detail", lang: detailLanguage }, detail),
    element("p", {}, text),
    element("button", { type: "button", class: "primary", on: { click: retry } }, t("retry")),
  );
}

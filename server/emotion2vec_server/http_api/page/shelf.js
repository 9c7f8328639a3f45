// The list of recordings, beside what is shown of one of them.

import { colorOf } from "./colors.js";
import { element, icon } from "./dom.js";
import { labelText, percent, t } from "./i18n.js";

/** Fires "choose" and "remove" with the recording as `detail`. */
export class Shelf extends EventTarget {
  /** `list` is an empty <ol>. */
  constructor(list) {
    super();
    this._list = list;
  }

  show(recordings, chosen) {
    const focused = this._list.contains(document.activeElement) ? document.activeElement.id : null;
    this._list.replaceChildren(...recordings.map((recording) => this._row(recording, recording === chosen)));
    if (focused) document.getElementById(focused)?.focus();
  }

  _row(recording, isChosen) {
    const { id, name, state } = recording;
    const open = element(
      "button",
      {
        type: "button",
        id: `recording-${id}`,
        class: "shelf-open",
        "aria-current": isChosen ? "true" : null,
        on: { click: () => this._tell("choose", recording) },
      },
      element("span", { class: "shelf-name" }, name),
      state === "done" ? summary(recording.result) : element("span", { class: "shelf-state" }, t(`state.${state}`)),
    );
    const isRunning = !recording.isOver;
    const remove = element(
      "button",
      {
        type: "button",
        id: `remove-${id}`,
        class: "shelf-remove",
        "aria-label": t(isRunning ? "cancel.name" : "remove.name", { name }),
        on: { click: () => this._tell("remove", recording) },
      },
      icon("close"),
    );
    return element("li", { class: `shelf-row ${state}` }, open, remove);
  }

  _tell(event, detail) {
    this.dispatchEvent(new CustomEvent(event, { detail }));
  }
}

/** The leading emotion of a result, or of each channel. */
function summary(result) {
  const emotions = result.channels.length ? result.channels.map(({ emotion }) => emotion) : [result.emotion];
  return element(
    "span",
    { class: "shelf-summary" },
    ...emotions.map((emotion) => {
      if (!emotion) return t("no.scores");
      const index = emotion.scores.findIndex(({ label }) => label === emotion.label);
      return element(
        "span",
        { class: "shelf-emotion", color: colorOf(emotion.label, index) },
        element("span", { class: "swatch", "aria-hidden": "true" }),
        `${labelText(emotion.label)} ${percent(emotion.confidence)}`,
      );
    }),
  );
}

// All scores of one result as bars.

import { colorOf } from "./colors.js";
import { element } from "./dom.js";
import { labelText, percent } from "./i18n.js";

/** Bars that can be given new values; `mark` shows a second value on each. */
export class ScoreBars {
  /** `labels` in the model's order; `order` is the order that they are shown in. */
  constructor(labels, order = labels) {
    this._labels = labels;
    this._rows = new Map(order.map((label) => [label, this._row(label)]));
    this.element = element("ol", { class: "scores" }, ...[...this._rows.values()].map(({ row }) => row));
  }

  /** Probabilities in the model's order. */
  show(probabilities) {
    const best = Math.max(...probabilities);
    this._labels.forEach((label, index) => {
      const { row, fill, value } = this._rows.get(label);
      fill.style.transform = `scaleX(${probabilities[index]})`;
      value.textContent = percent(probabilities[index], 1);
      row.classList.toggle("leading", probabilities[index] === best);
    });
  }

  /** Marks these probabilities, in the model's order, on the bars; null takes the marks away. */
  mark(probabilities) {
    this._labels.forEach((label, index) => {
      const { mark } = this._rows.get(label);
      mark.hidden = !probabilities;
      if (probabilities) mark.style.insetInlineStart = `${100 * probabilities[index]}%`;
    });
  }

  _row(label) {
    const fill = element("span", { class: "score-fill" });
    const mark = element("span", { class: "score-mark", hidden: true });
    const value = element("span", { class: "score-value" });
    const row = element(
      "li",
      { color: colorOf(label, this._labels.indexOf(label)), data: { label } },
      element("span", { class: "score-label" }, labelText(label)),
      element("span", { class: "score-bar", "aria-hidden": "true" }, fill, mark),
      value,
    );
    return { row, fill, mark, value };
  }
}

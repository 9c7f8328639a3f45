// One of a few, as buttons side by side (radio buttons to the keyboard and to screen readers).

import { element } from "./dom.js";

let lastGroup = 0;

/** `options` are [value, text]; `choose` is called with the value. */
export function choice(name, options, chosen, choose) {
  const group = `choice-${++lastGroup}`;
  return element(
    "fieldset",
    { class: "choice" },
    element("legend", { class: "hidden" }, name),
    ...options.map(([value, text]) =>
      element(
        "label",
        {},
        element("input", {
          type: "radio",
          name: group,
          value,
          checked: value === chosen,
          on: { change: () => choose(value) },
        }),
        element("span", {}, text),
      ),
    ),
  );
}

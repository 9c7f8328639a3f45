// Building elements without a framework.

/**
 * A new element.
 *
 * Properties are attributes, but for `on` (listeners by event), `data` (data-*), `color` (the custom
 * property --emotion) and `class`. What is null or false is left out. Children are nodes or texts.
 */
export function element(tag, properties = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (value === null || value === undefined || value === false) continue;
    if (name === "on") {
      for (const [event, listener] of Object.entries(value)) made.addEventListener(event, listener);
    } else if (name === "data") {
      Object.assign(made.dataset, value);
    } else if (name === "color") {
      // By the object model: a style attribute would be against the Content-Security-Policy.
      made.style.setProperty("--emotion", value);
    } else {
      made.setAttribute(name, value === true ? "" : value);
    }
  }
  made.append(...children.flat().filter((child) => child !== null && child !== undefined && child !== false));
  return made;
}

/** An icon of icons.svg; it says nothing to a screen reader. */
export function icon(name) {
  const space = "http://www.w3.org/2000/svg";
  const made = document.createElementNS(space, "svg");
  made.setAttribute("class", "icon");
  made.setAttribute("aria-hidden", "true");
  const use = document.createElementNS(space, "use");
  use.setAttribute("href", `icons.svg#${name}`);
  made.append(use);
  return made;
}

export const byId = (id) => document.getElementById(id);

// Hands files to the person.

import { framesTable } from "./csv.js";
import { element } from "./dom.js";
import { t } from "./i18n.js";
import { npyOf } from "./npy.js";
import { wavOf } from "./wav.js";

/** Saves a blob under a name. */
export function save(blob, name) {
  const url = URL.createObjectURL(blob);
  element("a", { href: url, download: name }).click();
  // The browser has begun to read by then.
  setTimeout(() => URL.revokeObjectURL(url), 60_000);
}

/** A file's name without its extension. */
export const stemOf = (name) => name.replace(/\.[^.]+$/, "") || name;

/** Buttons for all that can be had of a result. */
export function downloadsOf(name, reply, result) {
  const stem = stemOf(name);
  const offers = [
    ["download.json", "result.json", () => jsonOf(reply)],
    result.frames && ["download.csv", "frames.csv", () => framesTable(result.frames)],
    result.embedding && ["download.npy", "embedding.npy", () => npyOf(result.embedding)],
    result.audio && ["download.wav", "processed_audio.wav", () => wavOf(result.audio, 16000)],
  ].filter(Boolean);
  return offers.map(([key, ending, make]) => {
    const click = () => save(make(), `${stem}.${ending}`);
    return element("button", { type: "button", class: "chip", on: { click } }, t(key));
  });
}

/** The reply as the server gave it, but for the audio, which is a file of its own. */
function jsonOf({ processed_audio: _, ...reply }) {
  return new Blob([JSON.stringify(reply)], { type: "application/json" });
}

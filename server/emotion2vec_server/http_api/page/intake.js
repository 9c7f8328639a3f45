// How recordings come in: chosen, dropped anywhere, pasted, or an example.

import { byId, element } from "./dom.js";
import { t } from "./i18n.js";

const EXAMPLES = [
  ["example.five", "five-voices.ogg"],
  ["example.angry", "angry.flac"],
  ["example.sad", "sad.flac"],
];

/** Calls `take` with files, or blobs with a name, however they come. */
export function listenForFiles(take) {
  const picker = byId("files");
  picker.addEventListener("change", () => {
    take([...picker.files]);
    picker.value = ""; // so that the same file can be chosen again
  });
  for (const opener of document.querySelectorAll("[data-opens=files]")) {
    opener.addEventListener("click", () => picker.click());
  }
  listenForDrops(take);
  document.addEventListener("paste", ({ clipboardData }) => take([...clipboardData.files]));
}

function listenForDrops(take) {
  // A drag enters and leaves every element on its way.
  let depth = 0;
  const holdsFiles = ({ dataTransfer }) => dataTransfer?.types.includes("Files");
  const show = (change) => {
    depth = change ? depth + change : 0;
    document.body.classList.toggle("dropping", depth > 0);
  };
  document.addEventListener("dragenter", (event) => holdsFiles(event) && show(1));
  document.addEventListener("dragleave", (event) => holdsFiles(event) && show(-1));
  document.addEventListener("dragover", (event) => holdsFiles(event) && event.preventDefault());
  document.addEventListener("drop", async (event) => {
    if (!holdsFiles(event)) return;
    event.preventDefault();
    show(0);
    take(await filesOf(event.dataTransfer));
  });
}

/** All files of a drop, those in folders too. */
async function filesOf(transfer) {
  const entries = [...transfer.items].map((item) => item.webkitGetAsEntry?.()).filter(Boolean);
  if (!entries.length) return [...transfer.files];
  return (await Promise.all(entries.map(filesIn))).flat();
}

async function filesIn(entry) {
  if (entry.isFile) return [await new Promise((resolve, reject) => entry.file(resolve, reject))];
  const reader = entry.createReader();
  const found = [];
  // It gives some at a time, and none at the end.
  for (;;) {
    const some = await new Promise((resolve, reject) => reader.readEntries(resolve, reject));
    if (!some.length) return found;
    for (const inner of some) found.push(...(await filesIn(inner)));
  }
}

/** Buttons that take an example; `fail` is called where it can't be had. */
export function showExamples(place, take, fail) {
  const buttons = EXAMPLES.map(([words, name]) => {
    const click = () => fetchExample(name).then(take, fail);
    return element("button", { type: "button", class: "chip", on: { click } }, t(words));
  });
  place.replaceChildren(...buttons);
}

async function fetchExample(name) {
  const response = await fetch(`samples/${name}`);
  if (!response.ok) throw new Error(response.statusText);
  return [new File([await response.blob()], name)];
}

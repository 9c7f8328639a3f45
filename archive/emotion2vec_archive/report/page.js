// The top recordings by the chosen label and measure, what lies under the pointer, sorted tables.
// Everything stands in the page already: without this script the first choice is shown.

const form = document.querySelector(".choices");
const list = document.querySelector(".recordings");

/** Shows the recordings that lead by what is chosen, and says by how much. */
function rank() {
  const { label, measure } = Object.fromEntries(new FormData(form));
  const valueOf = (item) => item.values[measure][label];
  const shown = recordings
    .filter((item) => valueOf(item) > 0)
    .sort((one, other) => valueOf(other) - valueOf(one) || one.place - other.place)
    .slice(0, Number(list.dataset.count));
  list.dataset.label = label;
  const words = [...form.querySelectorAll(":checked")].map((input) => input.parentElement.textContent);
  document.querySelector(".chosen").textContent = `${words[1].trim()} of ${words[0].trim()}`;
  for (const { element } of recordings) element.hidden = true;
  shown.forEach((item, index) => {
    item.element.hidden = false;
    item.element.querySelector(".rank").textContent = index + 1;
    item.element.querySelector(".value").textContent = say(valueOf(item), measure);
    list.append(item.element);
  });
  document.querySelector(".none").hidden = shown.length > 0;
}

function say(value, measure) {
  return measure === "longest" ? `${value.toFixed(1)} s` : `${(100 * value).toFixed(1)}%`;
}

/** Says beside a time line which stretch or alert lies under the pointer. */
function point({ target }) {
  const said = target.dataset?.said;
  const recording = target.closest?.(".recording");
  if (said && recording) recording.querySelector(".pointed").textContent = said;
}

/** Sorts a table by the column whose heading was pressed; once more turns the order round. */
function sort(heading) {
  const table = heading.closest("table"), body = table.tBodies[0];
  const column = heading.cellIndex;
  const isDescending = heading.getAttribute("aria-sort") !== "descending";
  for (const other of table.tHead.rows[0].cells) other.removeAttribute("aria-sort");
  heading.setAttribute("aria-sort", isDescending ? "descending" : "ascending");
  const textOf = (row) => row.cells[column].textContent.trim();
  const compare = (one, other) => {
    const keys = [one, other].map((row) => row.cells[column].dataset.key);
    return keys[0] === undefined
      ? textOf(one).localeCompare(textOf(other), undefined, { numeric: true })
      : keys[0] - keys[1];
  };
  const rows = [...body.rows].sort((one, other) => (isDescending ? -1 : 1) * compare(one, other));
  body.append(...rows);
}

const recordings = [...(list?.children ?? [])].map((element, place) => ({
  element,
  place,
  values: JSON.parse(element.dataset.values),
}));
form?.addEventListener("change", rank);
list?.addEventListener("pointerover", point);
for (const button of document.querySelectorAll(".sortable th button")) {
  button.addEventListener("click", () => sort(button.closest("th")));
}
// A printed page has no closed details.
window.addEventListener("beforeprint", () => {
  for (const details of document.querySelectorAll("details")) details.open = true;
});

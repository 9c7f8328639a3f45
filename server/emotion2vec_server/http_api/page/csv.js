// Results as tables (RFC 4180).

/** One cell; what a spreadsheet would take for a formula is kept a text. */
function cell(value) {
  let text = String(value);
  if (typeof value === "string" && /^[=+\-@\t\r]/.test(text)) text = `'${text}`;
  return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}

const table = (rows) =>
  new Blob([rows.map((row) => `${row.map(cell).join(",")}\r\n`).join("")], { type: "text/csv" });

/** One row a frame: when it begins, in seconds, and the probability of each label. */
export function framesTable({ labels, start, hop, count, probabilities }) {
  const rows = Array.from({ length: count }, (_, frame) => [
    (start + frame * hop).toFixed(3),
    ...probabilities.subarray(frame * labels.length, (frame + 1) * labels.length),
  ]);
  return table([["start_seconds", ...labels], ...rows]);
}

/** One row a recording, whatever became of it: `entries` are {name, result, error}. */
export function summaryTable(entries) {
  const labels = [...new Set(entries.flatMap(({ result }) => scoresOf(result).map(({ label }) => label)))];
  const rows = entries.map(({ name, result, error }) => {
    const scores = new Map(scoresOf(result).map(({ label, probability }) => [label, probability]));
    return [
      name,
      result ? result.metadata.duration : "",
      result?.emotion?.label ?? "",
      result?.emotion?.confidence ?? "",
      ...labels.map((label) => scores.get(label) ?? ""),
      (result?.warnings ?? []).map(({ code }) => code).join(" "),
      error ?? "",
    ];
  });
  return table([["file", "seconds", "label", "confidence", ...labels, "warnings", "error"], ...rows]);
}

const scoresOf = (result) => result?.emotion?.scores ?? [];

// What the scores mean to a person: mixed emotion, stability, sustained anger. The same rules as
// the client's emotion2vec_client/readings.py, thresholds included; tests/page holds one against the
// other.
//
// The thresholds are rules of thumb for a first look, not properties of the model.

/** Two labels whose probabilities lie closer than this are both there. */
const MIXED_MARGIN = 0.15;
/** Seconds over which frames are averaged first, and below which no stretch stands by itself. */
const SMOOTHING = 0.25;
/** Changes of the leading label a second, up to which speech counts as steady. */
const STEADY = 0.5;
export const ALERT_LABELS = ["angry", "disgusted"];
/** Of the alert labels together. */
const ALERT_PROBABILITY = 0.5;
/** How long they must last. */
const ALERT_SECONDS = 2.0;

/**
 * All that can be read from one result: `mixed` [first, second] or null, `stability` {seconds,
 * switches, perSecond, steady} and `alerts` or null without frames, `stretches` with start and end in
 * seconds from the beginning of the audio, `labels` {label, peak, share, longest} of each label, none
 * without frames.
 */
export function read(result) {
  const mixed = mixedOf(result.emotion);
  const { frames } = result;
  if (!frames) {
    return { mixed, stability: null, alerts: null, stretches: [], labels: [] };
  }
  const smooth = smoothed(frames);
  const leading = leadingOf(smooth, frames);
  return {
    mixed,
    stability: stabilityOf(leading, frames.hop),
    alerts: alertsOf(frames, smooth),
    stretches: stretchesOf(leading, smooth, frames),
    labels: labelsOf(leading, smooth, frames),
  };
}

function mixedOf(emotion) {
  if (!emotion || emotion.scores.length < 2 || emotion.margin >= MIXED_MARGIN) return null;
  return ranked(emotion.scores).slice(0, 2);
}

/** Scores, the highest first. */
export const ranked = (scores) => [...scores].sort((a, b) => b.probability - a.probability);

function stabilityOf(leading, hop) {
  const switches = edgesOf(leading).length - 2;
  const seconds = leading.length * hop;
  const perSecond = seconds ? switches / seconds : 0;
  return { seconds, switches, perSecond, steady: perSecond <= STEADY };
}

function stretchesOf(leading, smooth, { labels, start, hop }) {
  const edges = edgesOf(leading);
  return edges.slice(0, -1).map((first, index) => {
    const last = edges[index + 1], column = leading[first];
    let sum = 0;
    for (let frame = first; frame < last; frame++) sum += smooth[frame * labels.length + column];
    return {
      label: labels[column],
      start: start + first * hop,
      end: start + last * hop,
      probability: sum / (last - first),
    };
  });
}

function labelsOf(leading, smooth, { labels, hop, count }) {
  const edges = edgesOf(leading);
  return labels.map((label, column) => {
    let peak = 0, longest = 0, total = 0;
    for (let frame = 0; frame < count; frame++) {
      peak = Math.max(peak, smooth[frame * labels.length + column]);
    }
    edges.slice(0, -1).forEach((first, index) => {
      if (leading[first] !== column) return;
      const length = edges[index + 1] - first;
      total += length;
      longest = Math.max(longest, length);
    });
    return { label, peak, share: total / count, longest: longest * hop };
  });
}

/** Frames in SMOOTHING seconds; a half goes to the even number, as Python rounds. */
function widthOf(hop) {
  if (!hop) return 1;
  const exact = SMOOTHING / hop, floor = Math.floor(exact);
  const half = exact - floor === 0.5;
  return Math.max(1, half ? floor + (floor % 2) : Math.round(exact));
}

/** [count * labels]: each frame averaged with those around it, fewer of them at the ends. */
function smoothed({ probabilities, count, labels, hop }) {
  const width = widthOf(hop), columns = labels.length;
  const sums = new Float64Array((count + 1) * columns);
  for (let index = 0; index < count * columns; index++) {
    sums[index + columns] = sums[index] + probabilities[index];
  }
  const mean = new Float64Array(count * columns);
  for (let frame = 0; frame < count; frame++) {
    const first = Math.max(frame - (width >> 1), 0);
    const last = Math.min(frame + ((width + 1) >> 1), count);
    for (let column = 0; column < columns; column++) {
      const sum = sums[last * columns + column] - sums[first * columns + column];
      mean[frame * columns + column] = sum / (last - first);
    }
  }
  return mean;
}

/** The first column with the highest value of a row. */
function highest(values) {
  let best = 0;
  for (let column = 1; column < values.length; column++) {
    if (values[column] > values[best]) best = column;
  }
  return best;
}

/**
 * [count]: the column of each frame's leading label, in stretches that are not brief.
 *
 * Brief ones in a row are one, of the label that is the most probable over them; it goes to the
 * neighbour that is the more probable there if it is brief itself.
 */
function leadingOf(smooth, { count, labels, hop }) {
  const columns = labels.length, shortest = widthOf(hop);
  const leading = Array.from({ length: count }, (_, frame) =>
    highest(smooth.subarray(frame * columns, (frame + 1) * columns)),
  );
  const edges = edgesOf(leading);
  const brief = edges.slice(0, -1).flatMap((first, index) => {
    const length = edges[index + 1] - first;
    return Array(length).fill(length < shortest);
  });
  for (const [first, last] of runsOf(brief)) {
    const sums = new Float64Array(columns);
    for (let frame = first; frame < last; frame++) {
      for (let column = 0; column < columns; column++) sums[column] += smooth[frame * columns + column];
    }
    const around = [first - 1, last].filter((frame) => frame >= 0 && frame < count);
    let label = highest(sums);
    if (last - first < shortest && around.length) {
      const candidates = around.map((frame) => leading[frame]);
      label = candidates.reduce((best, other) => (sums[other] > sums[best] ? other : best));
    }
    leading.fill(label, first, last);
  }
  return leading;
}

/** Where the leading label changes, and both ends. */
function edgesOf(leading) {
  const edges = [0];
  for (let frame = 1; frame < leading.length; frame++) {
    if (leading[frame] !== leading[frame - 1]) edges.push(frame);
  }
  edges.push(leading.length);
  return edges;
}

function alertsOf({ labels, start, hop, count }, smooth) {
  const columns = ALERT_LABELS.map((label) => labels.indexOf(label));
  const scores = Array.from({ length: count }, (_, frame) =>
    columns.map((column) => (column < 0 ? 0 : smooth[frame * labels.length + column])),
  );
  return runsOf(scores.map((values) => sumOf(values) >= ALERT_PROBABILITY))
    .filter(([first, last]) => (last - first) * hop >= ALERT_SECONDS)
    .map(([first, last]) => {
      const part = scores.slice(first, last);
      const sums = ALERT_LABELS.map((_, place) => sumOf(part.map((values) => values[place])));
      return {
        start: start + first * hop,
        end: start + last * hop,
        label: ALERT_LABELS[highest(sums)],
        probability: sumOf(sums) / part.length,
      };
    });
}

const sumOf = (values) => values.reduce((sum, value) => sum + value, 0);

/** Half-open ranges of consecutive true values. */
function runsOf(flags) {
  const runs = [];
  let first = -1;
  for (let index = 0; index <= flags.length; index++) {
    if (flags[index] && first < 0) first = index;
    if (!flags[index] && first >= 0) {
      runs.push([first, index]);
      first = -1;
    }
  }
  return runs;
}

// Scores of frames in a row: a stream's as they come, and any of them seen from afar.

/** The frames of a stream; later ones replace what was sent before about the same time. */
export class FrameHistory {
  constructor() {
    this.labels = [];
    this.start = 0;
    this.hop = 0;
    this.count = 0;
    this.probabilities = new Float32Array(0);
  }

  /** Takes frames as `reply.readFrames` gives them. */
  add(frames) {
    if (!this.count) {
      this.labels = frames.labels;
      this.start = frames.start;
      this.hop = frames.hop;
    }
    const columns = this.labels.length;
    const first = Math.max(0, Math.round((frames.start - this.start) / this.hop));
    const needed = (first + frames.count) * columns;
    if (needed > this.probabilities.length) {
      const more = new Float32Array(Math.max(needed, 2 * this.probabilities.length));
      more.set(this.probabilities.subarray(0, this.count * columns));
      this.probabilities = more;
    }
    this.probabilities.set(frames.probabilities, first * columns);
    this.count = first + frames.count;
  }

  /** FrameScores as the server's JSON has them. */
  toReply() {
    return {
      labels: this.labels,
      start_offset: `${this.start}s`,
      frame_hop: `${this.hop}s`,
      frame_count: this.count,
      probabilities: [...this.probabilities.subarray(0, this.count * this.labels.length)],
      is_final: true,
    };
  }
}

const SEGMENT_HOP = 0.5; // seconds

/** Segments as if they were frames, for recordings too long for frames; null without any scores. */
export function framesOfSegments(segments) {
  const scored = segments.filter(({ emotion }) => emotion);
  if (!scored.length) return null;
  const labels = scored[0].emotion.scores.map(({ label }) => label);
  const count = Math.ceil(scored.at(-1).end / SEGMENT_HOP);
  const probabilities = new Float32Array(count * labels.length);
  for (const { start, end, emotion } of scored) {
    const row = emotion.scores.map(({ probability }) => probability);
    const last = Math.min(Math.ceil(end / SEGMENT_HOP), count);
    for (let frame = Math.round(start / SEGMENT_HOP); frame < last; frame++) {
      probabilities.set(row, frame * labels.length);
    }
  }
  return { labels, start: 0, hop: SEGMENT_HOP, count, probabilities };
}

/** Probabilities of the frame at `time`, a value a label; null where there is none. */
export function frameAt({ labels, start, hop, count, probabilities }, time) {
  const frame = Math.floor((time - start) / hop + 1e-6);
  if (frame < 0 || frame >= count) return null;
  return probabilities.subarray(frame * labels.length, (frame + 1) * labels.length);
}

/**
 * [width * labels]: the mean over the frames of each of `width` columns from `view.start`, which are
 * `view.secondsPerPixel` wide each; NaN where there are no frames.
 */
export function columnMeans({ labels, start, hop, count, probabilities }, view) {
  const columns = labels.length;
  const means = new Float32Array(view.width * columns).fill(NaN);
  for (let pixel = 0; pixel < view.width; pixel++) {
    const from = view.start + pixel * view.secondsPerPixel - start;
    const first = Math.floor(from / hop + 1e-6);
    const last = Math.max(first + 1, Math.floor((from + view.secondsPerPixel) / hop));
    if (last <= 0 || first >= count) continue;
    const begin = Math.max(first, 0), end = Math.min(last, count);
    for (let column = 0; column < columns; column++) {
      let sum = 0;
      for (let frame = begin; frame < end; frame++) sum += probabilities[frame * columns + column];
      means[pixel * columns + column] = sum / (end - begin);
    }
  }
  return means;
}

// Replies as the server's JSON has them (protobuf's JSON mapping: durations are "1.28s", enums are
// names, bytes are Base64, 64-bit integers are texts, and what is zero or empty may be missing),
// made into what the page works with: seconds, typed arrays, nulls for what is not there.

/** Seconds of "1.28s"; 0 where it is missing. */
export const seconds = (duration) => (duration ? parseFloat(duration) : 0);

/** The bytes of a Base64 text. */
function bytes(text) {
  const raw = atob(text);
  const found = new Uint8Array(raw.length);
  for (let index = 0; index < raw.length; index++) found[index] = raw.charCodeAt(index);
  return found;
}

export function readEmotion(result) {
  if (!result) return null;
  return {
    label: result.label,
    confidence: result.confidence ?? 0,
    margin: result.margin ?? 0,
    entropy: result.entropy ?? 0,
    scores: (result.scores ?? []).map((score) => ({
      label: score.label,
      native: score.native_label ?? "",
      probability: score.probability ?? 0,
    })),
  };
}

/** Scores of `count` frames in a row: `probabilities` is frame-major, [count * labels]. */
export function readFrames(frames) {
  if (!frames?.frame_count) return null;
  return {
    labels: frames.labels,
    start: seconds(frames.start_offset),
    hop: seconds(frames.frame_hop),
    count: frames.frame_count,
    probabilities: Float32Array.from(frames.probabilities),
    isFinal: frames.is_final ?? false,
  };
}

const readSegment = (segment) => ({
  start: seconds(segment.start_offset),
  end: seconds(segment.end_offset),
  emotion: readEmotion(segment.result),
});

export const readAlert = (alert) => ({
  start: seconds(alert.start_offset),
  end: seconds(alert.end_offset),
  probability: alert.probability,
  hasEnded: alert.has_ended,
});

const readEmbedding = (embedding) =>
  embedding?.values?.length
    ? { shape: embedding.shape, values: Float32Array.from(embedding.values) }
    : null;

export const readWarning = (warning) => ({
  code: (warning.code ?? "").replace("WARNING_CODE_", ""),
  message: warning.message ?? "",
});

/** 16-bit samples at 16 kHz; null without any. */
function readAudio(text) {
  if (!text) return null;
  const raw = bytes(text);
  return new Int16Array(raw.buffer, 0, raw.length >> 1);
}

/** RecognizeResponse, ChannelResult and FinalResult alike. */
export function readResult(reply) {
  const metadata = reply.metadata ?? {};
  return {
    emotion: readEmotion(reply.result),
    frames: readFrames(reply.frames),
    segments: (reply.segments ?? []).map(readSegment),
    embedding: readEmbedding(reply.embedding),
    audio: readAudio(reply.processed_audio),
    warnings: (reply.warnings ?? []).map(readWarning),
    channels: (reply.channel_results ?? []).map((channel) => ({
      ...readResult({ ...channel, metadata }),
      channel: channel.channel ?? 0,
    })),
    metadata: {
      model: metadata.model ?? "",
      precision: metadata.precision ?? "",
      provider: metadata.provider ?? "",
      duration: seconds(metadata.audio_duration),
      decode: seconds(metadata.decode_duration),
      queue: seconds(metadata.queue_duration),
      inference: seconds(metadata.inference_duration),
    },
  };
}

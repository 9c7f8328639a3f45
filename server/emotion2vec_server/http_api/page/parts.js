// The reply about a long recording, which comes in parts (RecognizeRecordingResponse): joined to the
// reply that a short one gets.

/** Fields of one channel that its parts hold in turn. */
class Channel {
  constructor() {
    this.segments = [];
    this.audio = [];
    this.frames = null;
  }

  add({ segment, frames, processed_audio: audio }) {
    if (segment) this.segments.push(segment);
    if (audio) this.audio.push(audio);
    if (!frames) return;
    if (!this.frames) {
      this.frames = { ...frames, probabilities: [...frames.probabilities] };
      return;
    }
    for (const probability of frames.probabilities) this.frames.probabilities.push(probability);
    this.frames.frame_count += frames.frame_count;
  }

  fields() {
    return {
      ...(this.frames && { frames: this.frames }),
      ...(this.segments.length > 1 && { segments: this.segments }),
      ...(this.audio.length && { processed_audio: this.audio }),
    };
  }
}

export class Parts {
  constructor() {
    this._channels = new Map();
  }

  /** Takes a RecordingPart. */
  add(part) {
    const number = part.channel ?? 0;
    if (!this._channels.has(number)) this._channels.set(number, new Channel());
    this._channels.get(number).add(part);
  }

  /** RecognizeResponse; its processed_audio is a list, a text a part. */
  join(result) {
    if (!result.channel_results?.length) return { ...result, ...this._channels.get(0)?.fields() };
    const channels = result.channel_results.map((channel) => ({
      ...channel,
      ...this._channels.get(channel.channel ?? 0)?.fields(),
    }));
    return { ...result, channel_results: channels };
  }
}

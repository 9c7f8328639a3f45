// Runs on the audio thread: gathers what the microphone gives, mixed down to 16-bit samples.

const PIECE = 0.1; // seconds between two messages

class Microphone extends AudioWorkletProcessor {
  constructor() {
    super();
    this._piece = new Int16Array(Math.round(PIECE * sampleRate));
    this._filled = 0;
  }

  process([channels]) {
    if (!channels.length) return true;
    for (let index = 0; index < channels[0].length; index++) {
      let sum = 0;
      for (const channel of channels) sum += channel[index];
      const sample = Math.round((sum / channels.length) * 32768);
      this._piece[this._filled++] = Math.min(Math.max(sample, -32768), 32767);
      if (this._filled === this._piece.length) this._post();
    }
    return true;
  }

  _post() {
    this.port.postMessage(this._piece.slice());
    this._filled = 0;
  }
}

registerProcessor("microphone", Microphone);

// The microphone as 16-bit samples, at the rate that the device has: the server resamples, by the
// same filter as for recordings.

/** Why there is no microphone: `reason` is refused, missing, busy or insecure. */
export class MicrophoneError extends Error {
  constructor(reason) {
    super(reason);
    this.reason = reason;
  }
}

const REASONS = { NotAllowedError: "refused", SecurityError: "refused", NotFoundError: "missing" };
// What calls do to a voice changes what is heard in it.
const AS_IT_IS = { echoCancellation: false, noiseSuppression: false, autoGainControl: false };

/** Fires "samples" with an Int16Array as `detail`. */
export class Microphone extends EventTarget {
  constructor(media, context, node) {
    super();
    this.rate = context.sampleRate;
    this._media = media;
    this._context = context;
    node.port.onmessage = ({ data }) => this.dispatchEvent(new CustomEvent("samples", { detail: data }));
  }

  /** Asks the person for it; raises MicrophoneError. */
  static async open() {
    if (!navigator.mediaDevices || !globalThis.AudioWorkletNode) throw new MicrophoneError("insecure");
    let media;
    try {
      media = await navigator.mediaDevices.getUserMedia({ audio: AS_IT_IS });
    } catch (error) {
      throw new MicrophoneError(REASONS[error.name] ?? "busy");
    }
    const context = new AudioContext();
    await context.audioWorklet.addModule("microphone-worklet.js");
    const node = new AudioWorkletNode(context, "microphone", { numberOfOutputs: 0 });
    context.createMediaStreamSource(media).connect(node);
    await context.resume();
    return new Microphone(media, context, node);
  }

  /** Gives the device back; a second time does nothing. */
  close() {
    if (this._context.state === "closed") return;
    for (const track of this._media.getTracks()) track.stop();
    this._context.close();
  }
}

// One live stream: samples in, events out.

import { ApiError } from "./api.js";
import { readAlert, readEmotion, readFrames, readWarning } from "./reply.js";

/**
 * Fires "started", "frames", "interim", "speech", "alert" and "warning", "final" with what they bring as
 * `detail`; and last "end", with an error as `detail` or null.
 */
export class Stream extends EventTarget {
  /** `config` has the fields of StreamConfig. */
  constructor(socket, config) {
    super();
    this._socket = socket;
    this._error = null;
    socket.binaryType = "arraybuffer";
    socket.addEventListener("open", () => socket.send(JSON.stringify(config)));
    socket.addEventListener("message", ({ data }) => this._take(JSON.parse(data)));
    socket.addEventListener("close", ({ wasClean, code }) => this._closed(wasClean && code === 1000));
  }

  /** Sends samples; what comes before the connection is open is for the caller to keep. */
  send(samples) {
    this._socket.send(samples);
  }

  get isOpen() {
    return this._socket.readyState === WebSocket.OPEN;
  }

  /** Says that no more audio comes: the rest of the events follows, and then "end". */
  finish() {
    if (this.isOpen) this._socket.send(JSON.stringify({ end_of_stream: {} }));
    else this._socket.close();
  }

  _take(event) {
    if (event.error) this._error = new ApiError(event.error.status ?? 0, event.error.detail ?? "");
    else if (event.started) this._fire("started", { model: event.started.model });
    else if (event.frames) this._fire("frames", readFrames(event.frames));
    else if (event.interim) this._fire("interim", readEmotion(event.interim.result));
    else if (event.speech) this._fire("speech", event.speech.type === "SPEECH_EVENT_TYPE_START");
    else if (event.alert) this._fire("alert", readAlert(event.alert));
    else if (event.warning) this._fire("warning", readWarning(event.warning));
    else if (event.final) this._fire("final", event.final);
  }

  _closed(isWell) {
    this._fire("end", this._error ?? (isWell ? null : new ApiError(0, "")));
  }

  _fire(name, detail) {
    this.dispatchEvent(new CustomEvent(name, { detail }));
  }
}

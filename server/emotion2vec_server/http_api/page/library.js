// The recordings of this visit, and the queue that has them recognised.

import { ApiError } from "./api.js";
import { t } from "./i18n.js";
import { readResult } from "./reply.js";

const AT_ONCE = 3; // the server batches what comes together
const TRIES = 6; // while it is full
const LONGEST_WAIT = 20; // seconds
const LARGE = 2 ** 22; // bytes; what is smaller has no answer that is too large

let lastId = 0;

/** One recording: `state` is waiting, sending, retrying, done or failed. */
class Recording {
  constructor(name, file) {
    this.id = ++lastId;
    this.name = name;
    this.file = file;
    this.state = "waiting";
    this.reply = null;
    this.result = null;
    this.error = null;
    /** Share that has been sent, 0 to 1. */
    this.sent = 0;
    /** Seconds that have been recognised, as far as that is known. */
    this.heard = 0;
    this.controller = new AbortController();
  }

  get isOver() {
    return this.state === "done" || this.state === "failed";
  }
}

/**
 * Fires "change" with the recording as `detail`, null where the list itself changed, and "progress"
 * when more of a recording has been sent or recognised.
 */
export class Library extends EventTarget {
  /** `config({isLean})` gives RecognitionConfig's fields. */
  constructor(api, config) {
    super();
    this.recordings = [];
    this._api = api;
    this._config = config;
    this._running = 0;
  }

  /** Takes files (or blobs with a name) up; gives their recordings. */
  add(files) {
    const added = [...files].map((file) => new Recording(file.name, file));
    this.recordings.push(...added);
    this._changed(null);
    this._run();
    return added;
  }

  /** Takes up what a stream has recognised already: `file` is what was heard. */
  addDone({ file, reply, result }) {
    const recording = new Recording(file.name, file);
    Object.assign(recording, { state: "done", reply, result });
    this.recordings.push(recording);
    this._changed(null);
    return recording;
  }

  remove(recording) {
    recording.controller.abort();
    this.recordings = this.recordings.filter((other) => other !== recording);
    this._changed(null);
  }

  clear() {
    for (const recording of this.recordings) recording.controller.abort();
    this.recordings = [];
    this._changed(null);
  }

  retry(recording) {
    recording.error = null;
    this._enter(recording, "waiting");
    this._run();
  }

  _run() {
    while (this._running < AT_ONCE) {
      const next = this.recordings.find(({ state }) => state === "waiting");
      if (!next) return;
      this._running++;
      this._recognize(next).finally(() => {
        this._running--;
        this._run();
      });
    }
  }

  async _recognize(recording) {
    this._enter(recording, "sending");
    try {
      if (!recording.file.size) throw new ApiError(400, t("error.empty"));
      recording.reply = await this._send(recording);
      recording.result = readResult(recording.reply);
      this._enter(recording, "done");
    } catch (error) {
      if (error.name === "AbortError") return;
      recording.error = error;
      this._enter(recording, "failed");
    }
  }

  /** Tries again for as long as the server says that it is full, and that this will help. */
  async _send(recording) {
    const { signal } = recording.controller;
    for (let tries = 1; ; tries++) {
      try {
        return await this._ask(recording);
      } catch (error) {
        if (!error.retryAfter || tries === TRIES) throw error;
        this._enter(recording, "retrying");
        // Not all at the same moment.
        await pause(Math.min(error.retryAfter, LONGEST_WAIT) * (1 + Math.random() / 2), signal);
        this._enter(recording, "sending");
      }
    }
  }

  /** Where the answer would be too large, it is asked for without what grows with the length. */
  async _ask(recording) {
    const { file, controller: { signal } } = recording;
    recording.sent = recording.heard = 0;
    const progress = (step) => {
      Object.assign(recording, step);
      this.dispatchEvent(new CustomEvent("progress", { detail: recording }));
    };
    try {
      return await this._api.recognize(file, this._config(), signal, progress);
    } catch (error) {
      if (error.status !== 413 || file.size < LARGE) throw error;
      return await this._api.recognize(file, this._config({ isLean: true }), signal, progress);
    }
  }

  _enter(recording, state) {
    recording.state = state;
    this._changed(recording);
  }

  _changed(detail) {
    this.dispatchEvent(new CustomEvent("change", { detail }));
  }
}

/** Waits for so many seconds, or raises what the signal was aborted with. */
function pause(seconds, signal) {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(resolve, 1000 * seconds);
    signal.addEventListener("abort", () => {
      clearTimeout(timer);
      reject(signal.reason);
    });
  });
}

// Plays a recording.

/** Fires "move" while the position changes, and "state" when playing begins or ends. */
export class Player extends EventTarget {
  constructor() {
    super();
    this._audio = new Audio();
    for (const event of ["play", "pause", "ended"]) {
      this._audio.addEventListener(event, () => this._changed());
    }
    this._audio.addEventListener("seeked", () => this._moved());
  }

  load(blob) {
    this.unload();
    this._url = URL.createObjectURL(blob);
    this._audio.src = this._url;
  }

  unload() {
    this._audio.pause();
    this._audio.removeAttribute("src");
    if (this._url) URL.revokeObjectURL(this._url);
    this._url = null;
  }

  get playing() {
    return !this._audio.paused && !this._audio.ended;
  }

  get position() {
    return this._audio.currentTime;
  }

  seek(time) {
    this._audio.currentTime = Math.max(0, time);
    this._moved();
  }

  toggle() {
    if (this.playing) this._audio.pause();
    // Stopped again before it began, or no device to play on: the state tells.
    else if (this._url) this._audio.play().catch(() => this._changed());
  }

  _changed() {
    this.dispatchEvent(new Event("state"));
    this._run();
  }

  _run() {
    this._moved();
    if (this.playing) requestAnimationFrame(() => this._run());
  }

  _moved() {
    this.dispatchEvent(new Event("move"));
  }
}

// The live view: the microphone goes to the server as it is heard, and its scores come back.

import { clock } from "./clock.js";
import { colorOf } from "./colors.js";
import { element, icon } from "./dom.js";
import { FrameHistory } from "./frames.js";
import { labelText, percent, t } from "./i18n.js";
import { Microphone } from "./microphone.js";
import { alertNote, warningNote } from "./notes.js";
import { Peaks } from "./peaks.js";
import { readResult } from "./reply.js";
import { ScoreBars } from "./scores.js";
import { Stream } from "./stream.js";
import { Timeline } from "./timeline.js";
import { wavOf } from "./wav.js";

const SPAN = 20; // seconds in sight
const NOW = 1; // seconds that the bars are the mean of
const PATIENCE = 20_000; // milliseconds for the last events

/**
 * Fires "end" with {recording, error}. `recording` is null where nothing was heard, else {file, reply,
 * result}; the last two are missing where the stream broke off.
 */
export class Live extends EventTarget {
  constructor(api, config, alertLabels, kind) {
    super();
    this._api = api;
    this._config = config;
    this._alertLabels = alertLabels;
    this._samples = [];
    this._frames = new FrameHistory();
    this._finals = [];
    this._track = { duration: 0, live: SPAN, frames: this._frames, peaks: null, alerts: [] };
    this._timeline = new Timeline();
    this._timeline.set(kind);
    this._build();
  }

  /** Opens the microphone, then the stream; raises MicrophoneError. */
  async start() {
    this._microphone = await Microphone.open();
    this.rate = this._microphone.rate;
    this._track.peaks = new Peaks(this.rate);
    this._timeline.show(this._track);
    this._microphone.addEventListener("samples", ({ detail }) => this._heard(detail));
    this._stream = new Stream(this._api.stream(), {
      config: this._config,
      audio_config: { encoding: "AUDIO_ENCODING_LINEAR16", sample_rate_hertz: this.rate },
      interim_results: true,
      ...(this._alertLabels.length && { alerts: { labels: this._alertLabels } }),
    });
    const on = (name, listener) => this._stream.addEventListener(name, ({ detail }) => listener(detail));
    on("started", () => this._say("live.listening"));
    on("frames", (frames) => this._took(frames));
    on("interim", (emotion) => this._runs(emotion));
    on("speech", (isSpeech) => this._speech(isSpeech));
    on("alert", (alert) => this._alerted(alert));
    on("warning", (warning) => this._tell(warningNote(warning)));
    on("final", (final) => this._finals.push(final));
    on("end", (error) => this._ended(error));
    this._stop.disabled = false;
    this._stop.focus();
  }

  /** Closes the microphone; what was said until now is heard to its end. */
  stop() {
    this._microphone.close();
    this._stop.disabled = true;
    this._say("live.finishing");
    this._isFinishing = true;
    this._stream.finish();
    this._timer = setTimeout(() => this._stream.dispatchEvent(new CustomEvent("end", { detail: null })), PATIENCE);
  }

  _build() {
    this._state = element("span", { class: "live-state", role: "status" }, t("live.connecting"));
    this._time = element("span", { class: "live-time" }, clock(0, 1));
    this._stop = element(
      "button",
      { type: "button", class: "primary", disabled: true, on: { click: () => this.stop() } },
      icon("stop"),
      t("live.stop"),
    );
    this._lead = element("div", { class: "lead" }, element("p", { class: "faint" }, t("live.hint")));
    this._bars = element("div", { class: "live-bars" });
    this._note = element("p", { class: "live-note", role: "status" });
    this.element = element(
      "section",
      { class: "live", "aria-label": t("live.title") },
      element(
        "header",
        { class: "live-top" },
        element("span", { class: "live-dot", "aria-hidden": "true" }),
        element("h2", {}, t("live.title")),
        this._state,
        this._time,
        this._stop,
      ),
      element("div", { class: "summary" }, this._lead, this._bars),
      this._timeline.element,
      this._note,
    );
  }

  _heard(samples) {
    this._samples.push(samples);
    this._track.peaks.add(samples);
    this._track.duration = this._track.peaks.count / this.rate;
    this._time.textContent = clock(this._track.duration, 1);
    if (this._stream?.isOpen) this._flush();
    this._timeline.grow();
  }

  /** Sends what has been heard since the last time, or before the connection was open. */
  _flush() {
    this._sent ??= 0;
    for (; this._sent < this._samples.length; this._sent++) this._stream.send(this._samples[this._sent]);
  }

  _took(frames) {
    if (!frames) return;
    this._frames.add(frames);
    const alert = this._track.alerts.at(-1);
    if (alert && !alert.hasEnded) alert.end = this._frames.start + this._frames.count * this._frames.hop;
    if (!this._scores) {
      this._scores = new ScoreBars(frames.labels);
      this._bars.append(this._scores.element);
    }
    this._scores.show(this._now());
    this._timeline.grow();
  }

  /** Mean of the last frames. */
  _now() {
    const { labels, hop, count, probabilities } = this._frames;
    const first = Math.max(0, count - Math.round(NOW / hop));
    return labels.map((_, column) => {
      let sum = 0;
      for (let frame = first; frame < count; frame++) sum += probabilities[frame * labels.length + column];
      return sum / (count - first);
    });
  }

  _runs(emotion) {
    if (!emotion) return;
    const index = emotion.scores.findIndex(({ label }) => label === emotion.label);
    this._lead.style.setProperty("--emotion", colorOf(emotion.label, index));
    this._lead.replaceChildren(
      element("p", { class: "lead-label" }, labelText(emotion.label)),
      element("p", { class: "lead-number" }, percent(emotion.confidence, 1)),
      element("p", { class: "faint" }, t("live.until.now")),
    );
  }

  _speech(isSpeech) {
    this.element.classList.toggle("speaking", isSpeech);
    this._say(isSpeech ? "live.speech" : "live.listening");
  }

  /** An alert comes when it begins, and again when it ends: on the time line it grows between. */
  _alerted(alert) {
    const { alerts } = this._track;
    if (alerts.at(-1)?.start === alert.start) alerts.pop();
    alerts.push(alert);
    this._tell(alertNote(alert));
    this._timeline.grow();
  }

  _tell({ kind, text }) {
    this._note.className = `live-note note ${kind}`;
    this._note.replaceChildren(icon(kind), element("span", {}, text));
  }

  _say(key) {
    if (!this._isFinishing) this._state.textContent = t(key);
  }

  _ended(error) {
    if (this._over) return;
    this._over = true;
    clearTimeout(this._timer);
    this._microphone.close();
    this._timeline.close();
    this.dispatchEvent(new CustomEvent("end", { detail: { recording: this._recording(), error } }));
  }

  /** All that was heard, and what the server said of it, unless the stream broke off before. */
  _recording() {
    if (!this._samples.length) return null;
    const name = t("live.name", { time: new Date().toLocaleTimeString() });
    const file = new File([wavOf(this._samples, this.rate)], name);
    const final = this._finals.at(-1);
    if (!final) return { file };
    // The final result has no frames: they came before it.
    const reply = { ...final, frames: this._frames.toReply() };
    return { file, reply, result: readResult(reply) };
  }
}

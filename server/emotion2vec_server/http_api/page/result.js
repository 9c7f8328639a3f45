// What is shown of one recording that has been recognised.

import { choice } from "./choice.js";
import { colorOf } from "./colors.js";
import { clock, spanText } from "./clock.js";
import { downloadsOf } from "./download.js";
import { element, icon } from "./dom.js";
import { frameAt, framesOfSegments } from "./frames.js";
import { labelText, percent, t } from "./i18n.js";
import { notesOf } from "./notes.js";
import { Peaks } from "./peaks.js";
import { Player } from "./player.js";
import { ranked, read } from "./readings.js";
import { ScoreBars } from "./scores.js";
import { keep, setting } from "./settings.js";
import { describe, Timeline } from "./timeline.js";
import { wavOf } from "./wav.js";

const RATE = 16000; // of the audio as the model hears it
const OPEN_TURNS = 24; // more are folded away at first

/** The view of one result; `extraDownloads` are buttons beside its own. */
export class ResultView {
  constructor(recording, extraDownloads = []) {
    this._recording = recording;
    this._extraDownloads = extraDownloads;
    this._channel = 0;
    this.element = element("article", { class: "result", "aria-label": recording.name });
    this._render();
  }

  close() {
    this._player?.unload();
    this._timeline?.close();
  }

  toggle() {
    this._player?.toggle();
  }

  _render() {
    this.close();
    const { result } = this._recording;
    const shown = result.channels[this._channel] ?? result;
    const readings = read(shown);
    const warnings = shown === result ? result.warnings : [...result.warnings, ...shown.warnings];
    this._scores = null;
    this.element.replaceChildren(
      ...[
        this._head(result),
        result.channels.length ? this._channels(result.channels) : null,
        this._summary(shown, notesOf(readings, warnings, (time) => this._goTo(time))),
        this._overTime(shown, readings),
        this._segments(shown.segments),
        this._downloads(shown),
      ].filter(Boolean),
    );
  }

  _head({ metadata }) {
    const about = t("about", {
      audio: spanText(metadata.duration),
      model: metadata.model,
      precision: metadata.precision,
      work: spanText(metadata.decode + metadata.queue + metadata.inference),
    });
    return element(
      "header",
      { class: "result-head" },
      element("h2", {}, this._recording.name),
      element("p", { class: "faint" }, about),
    );
  }

  _channels(channels) {
    const options = channels.map(({ channel }, index) => [String(index), t("channel.number", { number: channel + 1 })]);
    return choice(t("channel"), options, String(this._channel), (chosen) => {
      this._channel = Number(chosen);
      this._render();
    });
  }

  _summary({ emotion, metadata }, notes) {
    if (!emotion) {
      return element(
        "section",
        { class: "summary" },
        element("p", {}, t("no.scores.text", { model: metadata.model })),
        notes,
      );
    }
    const labels = emotion.scores.map(({ label }) => label);
    this._scores = new ScoreBars(labels, ranked(emotion.scores).map(({ label }) => label));
    this._scores.show(emotion.scores.map(({ probability }) => probability));
    const lead = element(
      "div",
      { class: "lead", color: colorOf(emotion.label, labels.indexOf(emotion.label)) },
      element("p", { class: "lead-label" }, labelText(emotion.label)),
      element(
        "p",
        { class: "lead-confidence" },
        element("span", { class: "lead-number" }, percent(emotion.confidence, 1)),
        element("span", { class: "faint" }, t(`confidence.${sureness(emotion)}`)),
      ),
      notes,
    );
    return element("section", { class: "summary", "aria-label": t("scores") }, lead, this._scores.element);
  }

  _overTime(shown, readings) {
    const { audio, metadata } = shown;
    const frames = shown.frames ?? framesOfSegments(shown.segments);
    if (!frames && !audio) return null;
    this._timeline = new Timeline();
    this._timeline.set(setting("kind"));
    // What the model heard, so that what is seen and what is heard agree to the sample; the file
    // itself where that would be too much.
    this._player = new Player();
    this._player.load(audio ? wavOf(audio, RATE) : this._recording.file);
    const duration = audio ? audio.length / RATE : metadata.duration;
    const track = {
      duration,
      frames,
      peaks: audio ? Peaks.of(audio, RATE) : null,
      stretches: readings.stretches.length ? readings.stretches : turnsOf(shown.segments),
      alerts: readings.alerts ?? [],
    };
    this._readout = element("output", { class: "readout" });
    this._follow(frames);
    const section = element(
      "section",
      { class: "over-time", "aria-label": t("timeline") },
      this._controls(frames),
      this._timeline.element,
      this._stretches(readings.stretches),
    );
    // Its width is known once it stands in the page.
    requestAnimationFrame(() => this._timeline.show(track));
    this._readout.textContent = describe({ frames }, 0);
    return section;
  }

  /** Playhead, bars and words go together. */
  _follow(frames) {
    const show = (time) => {
      this._readout.textContent = describe({ frames }, time);
      if (frames) this._scores?.mark(frameAt(frames, time));
    };
    const timeline = this._timeline, player = this._player;
    player.addEventListener("move", () => {
      timeline.moveTo(player.position, player.playing);
      show(player.position);
    });
    player.addEventListener("state", () => this._showState());
    timeline.addEventListener("seek", ({ detail }) => {
      player.seek(detail);
      timeline.moveTo(detail);
      show(detail);
    });
    timeline.addEventListener("point", ({ detail }) => show(detail ?? timeline.position));
  }

  _controls(frames) {
    const button = (name, words, act) =>
      element(
        "button",
        { type: "button", class: "round", "aria-label": t(words), title: t(words), on: { click: act } },
        icon(name),
      );
    this._play = button("play", "play", () => this._player.toggle());
    const timeline = this._timeline;
    const kinds = [
      ["heatmap", t("kind.heatmap")],
      ["curves", t("kind.curves")],
    ];
    return element(
      "div",
      { class: "controls" },
      this._play,
      this._readout,
      element(
        "div",
        { class: "controls-end" },
        frames &&
          choice(t("kind"), kinds, setting("kind"), (kind) => {
            keep("kind", kind);
            timeline.set(kind);
          }),
        button("minus", "zoom.out", () => timeline.zoom(0.5)),
        button("plus", "zoom.in", () => timeline.zoom(2)),
        button("fit", "zoom.fit", () => timeline.zoom(0)),
      ),
    );
  }

  _showState() {
    const name = this._player.playing ? "pause" : "play";
    this._play.replaceChildren(icon(name));
    this._play.setAttribute("aria-label", t(name));
    this._play.title = t(name);
  }

  /** The leading emotions in turn, in words: what the ribbon shows. */
  _stretches(stretches) {
    if (!stretches.length) return null;
    return this._turns(t("stretches"), stretches, 1);
  }

  _segments(segments) {
    if (!segments.length) return null;
    return this._turns(t("segments"), turnsOf(segments), 0, element("p", { class: "faint" }, t("segments.text")));
  }

  /** A list of times with an emotion each; choosing one goes there. */
  _turns(title, turns, digits, caption = null) {
    const items = turns.map(({ label, start, end, probability }) =>
      element(
        "li",
        { color: colorOf(label, this._labels().indexOf(label)) },
        element(
          "button",
          { type: "button", class: "turn", on: { click: () => this._goTo(start) } },
          element("span", { class: "swatch", "aria-hidden": "true" }),
          element("span", { class: "turn-label" }, labelText(label)),
          element("span", { class: "turn-value" }, percent(probability)),
          element("span", { class: "turn-time" }, `${clock(start, digits)}–${clock(end, digits)}`),
        ),
      ),
    );
    return element(
      "details",
      { class: "turns", open: turns.length <= OPEN_TURNS },
      element("summary", {}, title),
      caption,
      element("ol", {}, ...items),
    );
  }

  _labels() {
    return (this._recording.result.emotion?.scores ?? []).map(({ label }) => label);
  }

  _goTo(time) {
    this._timeline?.dispatchEvent(new CustomEvent("seek", { detail: time }));
  }

  _downloads(shown) {
    const buttons = downloadsOf(this._recording.name, this._recording.reply, shown);
    return element(
      "section",
      { class: "downloads", "aria-label": t("downloads") },
      element("h3", {}, t("downloads")),
      ...buttons,
      ...this._extraDownloads,
    );
  }
}

/** Segments as stretches of their leading labels. */
const turnsOf = (segments) =>
  segments
    .filter(({ emotion }) => emotion)
    .map(({ start, end, emotion }) => ({ start, end, label: emotion.label, probability: emotion.confidence }));

/** How sure a result is, as a word's key. */
function sureness({ confidence, margin }) {
  if (confidence >= 0.7) return "high";
  return confidence >= 0.4 && margin >= 0.15 ? "middle" : "low";
}

// The page, put together.

import { Api } from "./api.js";
import { clock } from "./clock.js";
import { summaryTable } from "./csv.js";
import { byId, element } from "./dom.js";
import { save, stemOf } from "./download.js";
import { failureOf } from "./failure.js";
import { chooseLanguage, currentLanguage, labelText, learnLabels, percent, t, translate } from "./i18n.js";
import { listenForFiles, showExamples } from "./intake.js";
import { Library } from "./library.js";
import { Live } from "./live.js";
import { MicrophoneError } from "./microphone.js";
import { problemOf } from "./problem.js";
import { ALERT_LABELS } from "./readings.js";
import { ResultView } from "./result.js";
import { keep, keepToken, setting, token } from "./settings.js";
import { Shelf } from "./shelf.js";

class Page {
  constructor() {
    this._api = new Api(token);
    this._library = new Library(this._api, (how) => this._config(how));
    this._shelf = new Shelf(byId("shelf"));
    this._models = [];
    this._chosen = null;
    this._view = null;
    this._live = null;
  }

  start() {
    listenForFiles((files) => this._take(files));
    this._library.addEventListener("change", ({ detail }) => this._changed(detail));
    this._library.addEventListener("progress", ({ detail }) => this._progressed(detail));
    this._shelf.addEventListener("choose", ({ detail }) => this._choose(detail));
    this._shelf.addEventListener("remove", ({ detail }) => this._remove(detail));
    for (const button of document.querySelectorAll("[data-opens=microphone]")) {
      button.addEventListener("click", () => this._record());
    }
    byId("clear").addEventListener("click", () => this._library.clear());
    byId("table").addEventListener("click", () => this._saveTable());
    byId("language").addEventListener("click", () => this._switchLanguage());
    byId("model").addEventListener("change", ({ target }) => this._chooseModel(target.value));
    this._bindOption("channels", "channels");
    this._bindOption("speech-only", "speechOnly");
    byId("token-form").addEventListener("submit", () => this._tokenGiven());
    document.addEventListener("keydown", (event) => this._key(event));
    this._speak();
    this._loadModels();
  }

  /** A box that says how recordings are recognised; the one that is shown follows at once. */
  _bindOption(id, name) {
    const box = byId(id);
    box.checked = setting(name);
    box.addEventListener("change", () => {
      keep(name, box.checked);
      this._again();
    });
  }

  _again() {
    if (this._chosen?.isOver) this._library.retry(this._chosen);
  }

  /** RecognitionConfig's fields for a recording; `isLean` leaves out what grows with its length. */
  _config({ isLean = false } = {}) {
    return {
      ...this._streamConfig(),
      return_processed_audio: !isLean,
      granularity: isLean ? "GRANULARITY_UTTERANCE" : "GRANULARITY_FRAME",
      ...(setting("channels") && { channels: "CHANNELS_SEPARATE" }),
    };
  }

  /** The same for a stream, which has one channel, and frames in any case. */
  _streamConfig() {
    const model = this._models.some(({ name }) => name === setting("model")) ? setting("model") : "";
    return {
      ...(model && { model }),
      return_embedding: true,
      return_processed_audio: true,
      ...(setting("speechOnly") && { speech_only: true }),
    };
  }

  /** Those that can be alerted of while a stream goes on. */
  _alertLabels() {
    const labels = this._chosenModel()?.labels ?? [];
    return labels.map(({ name }) => name).filter((name) => ALERT_LABELS.includes(name));
  }

  _chosenModel() {
    const standard = this._models.find(({ is_default: isDefault }) => isDefault) ?? this._models[0];
    return this._models.find(({ name }) => name === setting("model")) ?? standard;
  }

  _take(files) {
    if (!files.length) return;
    const wasEmpty = !this._library.recordings.length;
    const [first] = this._library.add(files);
    this._choose(first);
    // What was focused has gone.
    if (wasEmpty) byId("stage").focus();
  }

  _choose(recording) {
    if (this._live) return;
    this._chosen = recording;
    this._showShelf();
    this._showChosen();
    bringToView(byId("stage"));
  }

  _remove(recording) {
    const { recordings } = this._library;
    const place = recordings.indexOf(recording);
    const next = recordings[place + 1] ?? recordings[place - 1] ?? null;
    if (this._chosen === recording) this._chosen = next;
    this._library.remove(recording);
    (next ? byId(`recording-${next.id}`) : byId("choose")).focus();
  }

  /** After the list has changed, or one recording of it. */
  _changed(recording) {
    if (!this._library.recordings.includes(this._chosen)) this._chosen = this._library.recordings[0] ?? null;
    this._showShelf();
    if (!recording || recording === this._chosen) this._showChosen();
    if (recording?.isOver) this._announce(recording);
    if (recording?.error?.status === 401) this._askForToken();
  }

  _progressed(recording) {
    if (recording === this._chosen) byId("working-state")?.replaceChildren(stateText(recording));
  }

  _showShelf() {
    const { recordings } = this._library;
    const isEmpty = !recordings.length && !this._live;
    document.body.classList.toggle("empty", isEmpty);
    byId("welcome").hidden = !isEmpty;
    byId("work").hidden = isEmpty;
    byId("shelf-title").textContent = t("files", { count: recordings.length });
    byId("shelf-part").hidden = !recordings.length;
    byId("shelf-tools").hidden = recordings.length < 2;
    this._shelf.show(recordings, this._live ? null : this._chosen);
  }

  _showChosen() {
    if (this._live) return;
    this._view?.close();
    this._view = null;
    const recording = this._chosen;
    if (recording?.state === "done") {
      this._view = new ResultView(recording, [this._archiveButton(recording)]);
      byId("stage").replaceChildren(this._view.element);
    } else if (recording?.state === "failed") {
      byId("stage").replaceChildren(failureOf(recording, () => this._library.retry(recording)));
    } else if (recording) {
      byId("stage").replaceChildren(this._working(recording));
    } else {
      byId("stage").replaceChildren();
    }
  }

  /** The result folder, which the server packs. */
  _archiveButton({ name, file }) {
    const fetch = async ({ target }) => {
      target.disabled = true;
      try {
        save(await this._api.archive(file, this._config()), `${stemOf(name)}.zip`);
      } catch (error) {
        this._say(problemOf(error).title, error.message);
      } finally {
        target.disabled = false;
      }
    };
    const properties = { type: "button", class: "chip", on: { click: fetch } };
    return element("button", properties, t("download.zip"));
  }

  _working(recording) {
    return element(
      "div",
      { class: "working" },
      element(
        "div",
        { class: "pulse", "aria-hidden": "true" },
        ...Array.from({ length: 5 }, () => element("span")),
      ),
      element("p", {}, t("working", { name: recording.name })),
      element("p", { class: "faint", id: "working-state" }, stateText(recording)),
      element("button", { type: "button", class: "quiet", on: { click: () => this._remove(recording) } }, t("cancel")),
    );
  }

  _announce({ name, result, error }) {
    const emotion = result?.emotion;
    byId("announcer").textContent = error
      ? t("announce.failed", { name, reason: problemOf(error).title })
      : t("announce.done", {
          name,
          label: emotion ? labelText(emotion.label) : t("no.scores"),
          percent: emotion ? percent(emotion.confidence) : "",
        });
  }

  async _record() {
    if (this._live) return;
    const live = new Live(this._api, this._streamConfig(), this._alertLabels(), setting("kind"));
    this._view?.close();
    this._view = null;
    this._live = live;
    this._showShelf();
    byId("stage").replaceChildren(live.element);
    bringToView(byId("stage"));
    live.addEventListener("end", ({ detail }) => this._recorded(detail));
    try {
      await live.start();
    } catch (error) {
      if (!(error instanceof MicrophoneError)) throw error;
      this._stopLive();
      this._say(t(`microphone.${error.reason}`));
    }
  }

  _stopLive() {
    this._live = null;
    this._showShelf();
    this._showChosen();
  }

  _recorded({ recording, error }) {
    if (recording?.result) this._chosen = this._library.addDone(recording);
    this._stopLive();
    byId("stage").focus();
    if (recording?.result) this._announce(this._chosen);
    // The stream broke off: as a recording it can still be had.
    else if (recording) this._take([recording.file]);
    if (error?.status === 401) this._askForToken();
    else if (error) this._say(recording ? t("stream.lost") : problemOf(error).title, error.message);
  }

  /** A short message that goes by itself. */
  _say(...texts) {
    const message = byId("message");
    message.textContent = texts.filter(Boolean).join(" ");
    message.hidden = false;
    clearTimeout(this._silence);
    this._silence = setTimeout(() => (message.hidden = true), 12_000);
  }

  async _loadModels() {
    try {
      this._models = await this._api.models();
    } catch (error) {
      if (error.status === 401) this._askForToken();
      else this._say(problemOf(error).title, problemOf(error).text);
      return;
    }
    this._models.forEach(({ labels }) => learnLabels(labels ?? []));
    this._showModel();
    this._speak();
  }

  _showModel() {
    const chosen = this._chosenModel();
    if (!chosen) return;
    const select = byId("model");
    select.replaceChildren(
      ...this._models.map(({ name }) =>
        element("option", { value: name, selected: name === chosen.name }, name),
      ),
    );
    byId("model-choice").hidden = this._models.length < 2;
    byId("demo").hidden = !chosen.is_demo;
  }

  _chooseModel(name) {
    keep("model", name);
    this._showModel();
    this._again();
  }

  _askForToken() {
    const dialog = byId("token-dialog");
    if (!dialog.open) dialog.showModal();
  }

  _tokenGiven() {
    keepToken(byId("token").value.trim());
    this._loadModels();
    for (const recording of this._library.recordings) {
      if (recording.error?.status === 401) this._library.retry(recording);
    }
  }

  _switchLanguage() {
    chooseLanguage(currentLanguage() === "zh" ? "en" : "zh");
    this._speak();
  }

  /** Says everything in the language of the page. */
  _speak() {
    translate(document);
    document.title = `${t("title")} · emotion2vec`;
    showExamples(
      byId("examples"),
      (files) => this._take(files),
      () => this._say(t("error.network.title"), t("error.network")),
    );
    this._showShelf();
    this._showChosen();
  }

  _saveTable() {
    const entries = this._library.recordings.map(({ name, result, error }) => ({
      name,
      result,
      error: error && [problemOf(error).title, error.message].filter(Boolean).join(": "),
    }));
    save(summaryTable(entries), "emotions.csv");
  }

  /** The space bar plays and pauses, wherever it does nothing else. */
  _key(event) {
    const isFree = event.target.matches?.("body, #stage, [role=slider]");
    if (event.key !== " " || !isFree || !this._view) return;
    event.preventDefault();
    this._view.toggle();
  }
}

/** Scrolls there where it lies below the list, as on a phone. */
function bringToView(part) {
  if (matchMedia("(max-width: 54rem)").matches) part.scrollIntoView({ block: "start" });
}

/** What a recording that isn't done is at. */
function stateText({ state, sent, heard }) {
  if (state === "sending" && heard) return t("state.heard", { time: clock(heard) });
  const isOnItsWay = state === "sending" && sent > 0 && sent < 1;
  return isOnItsWay ? t("state.sent", { percent: percent(sent) }) : t(`state.${state}`);
}

new Page().start();

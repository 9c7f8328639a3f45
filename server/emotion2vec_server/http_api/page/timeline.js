// Waveform, leading emotions, and scores over time, above one another on one axis of time. It can be
// zoomed and scrolled; a click or a key seeks.

import { clock, stepOf } from "./clock.js";
import { colorOf } from "./colors.js";
import { drawCurves } from "./curves.js";
import { element } from "./dom.js";
import { columnMeans, frameAt } from "./frames.js";
import { drawHeatmap } from "./heatmap.js";
import { labelText, percent, t } from "./i18n.js";
import { drawWaveform } from "./waveform.js";

const WAVE = 72, RIBBON = 8, SPACE = 8, AXIS = 24; // heights in pixels
const ROWS = { heatmap: { row: 20, gap: 2 }, curves: { row: 30, gap: 6 } };
const SHORTEST = 1; // second that can fill the width
const FIRST_SIGHT = 600; // seconds beyond which a recording isn't squeezed into the width at first
const TICK_GAP = 72; // pixels
const NUDGE = { ArrowLeft: -0.1, ArrowRight: 0.1, PageUp: 5, PageDown: -5 }; // seconds

const darkness = matchMedia("(prefers-color-scheme: dark)");

/**
 * Fires "seek" with the time as `detail`, and "point" with the time under the pointer, or null.
 *
 * A track is {duration, frames, peaks, stretches, alerts}, in which all but the duration may be
 * missing. With `live`, its end is followed, `live` seconds in sight.
 */
export class Timeline extends EventTarget {
  constructor() {
    super();
    this.kind = "heatmap";
    this._zoom = 1;
    this._position = 0;
    this._track = { duration: 0 };
    this._build();
    this._resized = new ResizeObserver(() => this._layOut());
    this._resized.observe(this._scroller);
    this._redraw = () => this._draw();
    darkness.addEventListener("change", this._redraw);
  }

  /** Ends all that listens to the world outside. */
  close() {
    this._resized.disconnect();
    darkness.removeEventListener("change", this._redraw);
  }

  show(track) {
    this._track = track;
    if (!track.live) this._zoom = Math.max(1, track.duration / FIRST_SIGHT);
    this._name();
    this._layOut();
  }

  /** Draws anew after the track has grown. */
  grow() {
    if (this._rowNames.childElementCount !== (this._track.frames?.labels.length ?? 0)) this._layOut();
    else this._draw();
  }

  set(kind) {
    this.kind = kind;
    this._layOut();
  }

  get zoomed() {
    return this._zoom > 1.001;
  }

  /** Zooms by a factor, around the position; 0 shows all. */
  zoom(factor) {
    const { start, secondsPerPixel, width } = this._view();
    const isInSight = this._position >= start && this._position <= start + secondsPerPixel * width;
    this._zoomAround(factor, isInSight ? this._position : start + (secondsPerPixel * width) / 2);
  }

  get position() {
    return this._position;
  }

  /** Moves the playhead; `keepInSight` turns the page when it leaves what is in sight. */
  moveTo(time, keepInSight = true) {
    this._position = Math.min(Math.max(time, 0), this._track.duration);
    const { start, secondsPerPixel, width } = this._view();
    const seen = secondsPerPixel * width;
    if (keepInSight && (this._position < start || this._position > start + seen)) {
      this._scroller.scrollLeft = (this._position - seen * 0.08) / secondsPerPixel;
    }
    this._placeHead();
    this._describe();
  }

  _build() {
    this._canvas = element("canvas", { class: "timeline-canvas" });
    this._head = element("div", { class: "timeline-head" });
    this._surface = element(
      "div",
      { class: "timeline-surface", role: "img" },
      this._canvas,
      this._head,
    );
    this._spacer = element("div", { class: "timeline-spacer" }, this._surface);
    this._scroller = element("div", { class: "timeline-scroller" }, this._spacer);
    this._rowNames = element("ol", { class: "timeline-names", "aria-hidden": "true" });
    this.element = element("div", { class: "timeline" }, this._rowNames, this._scroller);
    this._scroller.addEventListener("scroll", () => this._draw());
    this._scroller.addEventListener("wheel", (event) => this._wheel(event), { passive: false });
    const surface = this._surface;
    surface.addEventListener("click", (event) => this._seek(this._timeAt(event)));
    surface.addEventListener("pointermove", (event) => this._pointed(event));
    surface.addEventListener("pointerleave", () => this._point(null));
    surface.addEventListener("keydown", (event) => this._key(event));
  }

  /** What is in sight: `start` in seconds, and what a pixel is worth. */
  _view() {
    const width = Math.max(1, Math.floor(this._scroller.clientWidth));
    const { live, duration } = this._track;
    if (live) return { width, secondsPerPixel: live / width, start: Math.max(0, duration - live) };
    const secondsPerPixel = Math.max(duration, 0.1) / this._zoom / width;
    return { width, secondsPerPixel, start: this._scroller.scrollLeft * secondsPerPixel };
  }

  _layOut() {
    const labels = this._track.frames?.labels ?? [];
    const { row, gap } = ROWS[this.kind];
    this._rowNames.replaceChildren(
      ...labels.map((label, index) =>
        element("li", { color: colorOf(label, index) }, labelText(label)),
      ),
    );
    const style = this.element.style;
    style.setProperty("--names-top", `${WAVE + RIBBON + 2 * SPACE}px`);
    style.setProperty("--row", `${row}px`);
    style.setProperty("--gap", `${gap}px`);
    const rows = labels.length * (row + gap);
    this._height = WAVE + RIBBON + 2 * SPACE + rows + AXIS;
    style.setProperty("--height", `${this._height}px`);
    const { width } = this._view();
    style.setProperty("--width", `${width}px`);
    style.setProperty("--spacer", `${this._track.live ? width : Math.floor(width * this._zoom)}px`);
    this._draw();
    this._describe();
  }

  _draw() {
    const view = this._view();
    const scale = devicePixelRatio || 1;
    this._canvas.width = view.width * scale;
    this._canvas.height = this._height * scale;
    const context = this._canvas.getContext("2d");
    context.scale(scale, scale);
    const ink = getComputedStyle(this.element);
    const color = (name) => ink.getPropertyValue(`--${name}`).trim();
    const { frames, peaks, stretches = [], alerts = [] } = this._track;
    const box = { top: WAVE + RIBBON + 2 * SPACE, ...ROWS[this.kind] };
    this._drawAlerts(context, view, alerts, color);
    if (peaks) drawWaveform(context, peaks, view, { top: 0, height: WAVE }, color("wave"));
    this._drawRibbon(context, view, stretches);
    if (frames?.count) {
      context.fillStyle = color("track");
      for (let row = 0; row < frames.labels.length; row++) {
        context.fillRect(0, box.top + row * (box.row + box.gap), view.width, box.row);
      }
      const draw = this.kind === "heatmap" ? drawHeatmap : drawCurves;
      draw(context, frames.labels, columnMeans(frames, view), view, box);
    }
    this._drawAxis(context, view, color);
    this._placeHead();
  }

  _drawRibbon(context, view, stretches) {
    const labels = this._track.frames?.labels ?? [];
    for (const { label, start, end } of stretches) {
      const left = (start - view.start) / view.secondsPerPixel;
      const right = (end - view.start) / view.secondsPerPixel;
      if (right < 0 || left > view.width) continue;
      context.fillStyle = colorOf(label, labels.indexOf(label));
      context.fillRect(left, WAVE + SPACE, Math.max(right - left - 1, 1), RIBBON);
    }
  }

  _drawAlerts(context, view, alerts, color) {
    for (const { start, end } of alerts) {
      const left = (start - view.start) / view.secondsPerPixel;
      const width = (end - start) / view.secondsPerPixel;
      context.fillStyle = color("alert-wash");
      context.fillRect(left, 0, width, WAVE);
      context.fillStyle = color("alert");
      context.fillRect(left, 0, width, 2);
    }
  }

  _drawAxis(context, view, color) {
    const { step, digits } = stepOf(view.secondsPerPixel, TICK_GAP);
    const top = this._height - AXIS;
    context.font = `11px ${color("font")}`;
    context.textBaseline = "top";
    const last = Math.min(this._track.duration, view.start + view.width * view.secondsPerPixel);
    for (let tick = Math.ceil(view.start / step - 1e-6); tick * step <= last + 1e-6; tick++) {
      const left = Math.round((tick * step - view.start) / view.secondsPerPixel);
      context.fillStyle = color("line");
      context.fillRect(left, top, 1, 5);
      const text = clock(tick * step, digits);
      const { width } = context.measureText(text);
      context.fillStyle = color("faint");
      context.fillText(text, Math.min(Math.max(left - width / 2, 0), view.width - width), top + 8);
    }
  }

  _placeHead() {
    const view = this._view();
    const left = (this._position - view.start) / view.secondsPerPixel;
    const isHidden = this._track.live || left < -1 || left > view.width + 1;
    this._head.hidden = Boolean(isHidden);
    this._head.style.transform = `translateX(${Math.min(left, view.width - 2)}px)`;
  }

  _timeAt(event) {
    const view = this._view();
    const left = event.clientX - this._surface.getBoundingClientRect().left;
    return Math.min(view.start + left * view.secondsPerPixel, this._track.duration);
  }

  _pointed(event) {
    const time = this._timeAt(event);
    // A mouse that is held drags the playhead; a finger scrolls.
    if (event.pointerType === "mouse" && event.buttons === 1) this._seek(time);
    this._point(time);
  }

  _point(time) {
    this.dispatchEvent(new CustomEvent("point", { detail: time }));
  }

  _seek(time) {
    if (this._track.live) return;
    const detail = Math.min(Math.max(time, 0), this._track.duration);
    this.dispatchEvent(new CustomEvent("seek", { detail }));
  }

  _key(event) {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const ends = { Home: 0, End: this._track.duration };
    if (event.key in NUDGE) this._seek(this._position + NUDGE[event.key] * (event.shiftKey ? 10 : 1));
    else if (event.key in ends) this._seek(ends[event.key]);
    else if (event.key === "+" || event.key === "=") this.zoom(2);
    else if (event.key === "-") this.zoom(0.5);
    else if (event.key === "0") this.zoom(0);
    else return;
    event.preventDefault();
  }

  _wheel(event) {
    if (this._track.live || !(event.ctrlKey || event.metaKey)) return;
    event.preventDefault();
    this._zoomAround(Math.exp(-event.deltaY / 200), this._timeAt(event));
  }

  /** Zooms so that `time` stays where it is on the screen. */
  _zoomAround(factor, time) {
    const before = this._view();
    const place = (time - before.start) / before.secondsPerPixel;
    const most = Math.max(1, this._track.duration / SHORTEST);
    this._zoom = Math.min(Math.max(this._zoom * factor, 1), most);
    this._layOut();
    this._scroller.scrollLeft = time / this._view().secondsPerPixel - place;
    this._draw();
  }

  _name() {
    this._surface.setAttribute("aria-label", t(this._track.live ? "timeline.live" : "timeline.name"));
    if (this._track.live) return;
    this._surface.setAttribute("role", "slider");
    this._surface.tabIndex = 0;
    this._surface.setAttribute("aria-valuemin", "0");
    this._surface.setAttribute("aria-valuemax", this._track.duration.toFixed(2));
  }

  _describe() {
    if (this._surface.getAttribute("role") !== "slider") return;
    this._surface.setAttribute("aria-valuenow", this._position.toFixed(2));
    this._surface.setAttribute("aria-valuetext", describe(this._track, this._position));
  }
}

/** What is at a time, in words: the time, and the two leading labels with their probabilities. */
export function describe({ frames }, time) {
  const found = frames?.count ? frameAt(frames, time) : null;
  if (!found) return clock(time, 2);
  const order = [...found.keys()].sort((a, b) => found[b] - found[a]).slice(0, 2);
  const scores = order.map((column) => `${labelText(frames.labels[column])} ${percent(found[column])}`);
  return [clock(time, 2), ...scores].join(" · ");
}

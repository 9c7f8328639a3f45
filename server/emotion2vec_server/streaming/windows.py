"""Stream windowing without I/O: samples in, windows for the model out.

The theory
==========

**Frames.** The model reads audio through strided convolutions without padding: frame k sees samples
[k*H, k*H + F), with hop H = 320 (20 ms) and field F = 400 (25 ms). An utterance of n samples
therefore has N(n) = max(0, floor((n - F) / H) + 1) frames, and the last up to H - 1 samples belong
to none. N grows only when samples come, and never depends on how they were chunked. Everything
below is counted in frames.

**Windows.** A window is a run of frames [b, e) and holds exactly the samples that these frames
see: [b*H, (e - 1)*H + F). It begins on the hop grid, so frame i of the window *is* frame b + i of
the utterance; off the grid, no frame of the window would be one of the utterance's. In the steady
state all windows have w frames and so one length in samples: windows of all streams with one
setting batch without padding. Only the first ones of an utterance, before w frames exist, and its
last one, are shorter.

**What a window finalises.** Attention is bidirectional, so a frame's scores change while audio
comes in behind it. A frame is final when `a` frames (the lookahead) behind it were in its window.
With d = the number of frames final so far, window [b, e) finalises [d, e - a), and its last a
frames are provisional: the next windows see them again. The last window of an utterance finalises
all of [d, e).

**When.** A window is due when p frames (the hop of the stream) have come since the last one: e' =
e + p, b' = max(0, e' - w). The first one is due after p frames where provisional frames are
wanted, else after p + a: an earlier one could finalise nothing.

**Tiling.** Claim: each frame is finalised exactly once, in order. A window's final range begins
at d and its end becomes the new d, so ranges neither overlap nor leave a gap *if the window holds
them*: we need b' <= d and d <= the range's end.
  - The range's end never falls: e' > e implies e' - a > e - a. (Before a frames exist, e - a < 0
    is taken as d = 0.)
  - After a window that ended at e, d = max(0, e - a). The next ends at e' = e + p, so b' = max(0,
    e + p - w) <= max(0, e - a) = d if and only if **p + a <= w**: the one condition on the
    settings, checked when they are made.
  - At the end of the utterance N - e < p (the p of the last push), or another window would have
    come before; so the same condition covers the last window. N = d (all is final, or no frame
    came) gives no window at all.
This speaks of frame counts only. So it holds for any chunking, for an utterance shorter than a
frame (N = 0: no window), than a hop (only the last window) and than a window; and the windows
themselves, not just their frames, are the same for any chunking.

**Left context.** Every final frame of the steady state has at least w - a - p frames before it in
its window: what a longer window buys.

**A hop that changes.** When the server can't keep up, the stream asks for a longer hop p' on the
fly: the next window is then due at e + p'. The proof above uses the p between two windows only,
so tiling holds for any sequence of hops that each satisfy p' + a <= w. Fewer windows take from
the left context only; we stretch no further than p' = w - 2a, where a frame still has as much
before it as behind it (the lookahead is what the caller said is enough).

**Falling behind.** Audio that comes faster than real time (a file) gets exactly the windows it
would have got in real time: results don't depend on the speed at which audio is sent, and back-
pressure, not skipping, bounds the memory. A stream gets fewer windows only by a longer hop.

**Steps.** An incremental stream (`recognition.live`) keeps what the model made of final frames, and
runs the frames [d, e) alone: b = d, whatever w. So b <= d holds by itself, and hop and lookahead
are free; w is how many final frames the others attend to. Features are made once: a step holds the
samples of the frames that no step had before. A frame is run once as new and at most ceil(a / p)
times again.

**Memory.** After a window [b, e) the next one begins at e + 1 - w at the earliest, whatever the hop
and wherever the utterance ends, so older samples are forgotten: at most w + p frames are kept, plus
one push. Steps forget all that they have had.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from emotion2vec_runtime.arrays import Float32
from emotion2vec_runtime.bundle import Manifest
from emotion2vec_runtime.errors import InvalidRequestError

from emotion2vec_server.streaming.sample_buffer import SampleBuffer

# Chosen from the table in docs/streaming.md.
DEFAULT_WINDOW_SECONDS = 3.0
DEFAULT_HOP_SECONDS = 0.5
DEFAULT_LOOKAHEAD_SECONDS = 0.4

MIN_WINDOW_SECONDS = 0.5
MIN_HOP_SECONDS = 0.1


@dataclass(frozen=True, slots=True)
class Framing:
    """How a stream is cut: `window`, `hop`, `lookahead` in frames; the frame grid in samples."""

    window: int
    hop: int
    lookahead: int
    frame_hop: int
    frame_field: int
    incremental: bool = False
    """Whether it goes in steps; see "Steps"."""

    def __post_init__(self) -> None:
        if min(self.hop, self.window) < 1 or self.lookahead < 0 or not self.tiles(self.hop):
            raise ValueError(f"no tiling: need hop >= 1, lookahead >= 0, sum <= window: {self}")

    @property
    def longest_hop(self) -> int:
        """How far an overloaded stream may stretch its hop; see "A hop that changes"."""
        if self.incremental:
            return max(self.hop, self.window)
        return max(self.hop, self.window - 2 * self.lookahead)

    def tiles(self, hop: int) -> bool:
        """Whether windows that are `hop` frames apart leave no frame out."""
        return self.incremental or hop + self.lookahead <= self.window

    def frames(self, samples: int) -> int:
        """Frames of an utterance of `samples` samples."""
        return max(0, (samples - self.frame_field) // self.frame_hop + 1)

    def span(self, first: int, last: int) -> tuple[int, int]:
        """The samples [begin, end) that frames [first, last) see; at least one frame."""
        return first * self.frame_hop, (last - 1) * self.frame_hop + self.frame_field


def framing_of(
    manifest: Manifest,
    longest: int,
    *,
    window: float | None = None,
    hop: float | None = None,
    lookahead: float | None = None,
    incremental: bool = False,
) -> Framing:
    """The framing that a caller asks for, in seconds; None takes the default.

    Values are rounded to whole frames; `longest` is the longest window that the model takes, in
    samples.

    Raises:
        InvalidRequestError: a value is out of range, or hop and lookahead exceed the window.
    """
    rate, frame_hop = manifest.sample_rate, manifest.frame_hop
    most = manifest.frame_count(longest)
    top = most * frame_hop / rate
    if window is None:
        window = min(DEFAULT_WINDOW_SECONDS, top)
    hop = DEFAULT_HOP_SECONDS if hop is None else hop
    lookahead = DEFAULT_LOOKAHEAD_SECONDS if lookahead is None else lookahead
    _check("window", window, MIN_WINDOW_SECONDS, longest / rate)
    _check("hop", hop, MIN_HOP_SECONDS, top)
    _check("lookahead", lookahead, 0.0, top)
    frames = min(round(window * rate / frame_hop), most)
    step = round(hop * rate / frame_hop)
    ahead = round(lookahead * rate / frame_hop)
    if not incremental and step + ahead > frames:
        raise InvalidRequestError(
            "config.window",
            f"hop ({hop:g} s) and lookahead ({lookahead:g} s) together exceed the window "
            f"({window:g} s): lengthen it or shorten them",
        )
    return Framing(frames, step, ahead, frame_hop, manifest.frame_field, incremental=incremental)


def _check(name: str, seconds: float, least: float, most: float) -> None:
    if not least <= seconds <= most:
        raise InvalidRequestError(
            f"config.{name}", f"{name} is {seconds:g} s: it may be {least:g} to {most:g} s"
        )


class Window(NamedTuple):
    """Audio for one run of the model. Frames and samples count from the utterance's beginning."""

    samples: Float32
    """float32 [S] at 16 kHz, a copy. Of a step, those of its new frames alone."""
    first_frame: int
    """The first frame that is run."""
    final_begin: int
    """This window finalises frames [final_begin, final_end)."""
    final_end: int
    frame_end: int
    """Frames [final_end, frame_end) are provisional."""
    end_sample: int
    """Index behind the last sample."""


class Windower:
    """Cuts one utterance. Not for reuse: each utterance takes a new one."""

    def __init__(self, framing: Framing, *, early: bool = False) -> None:
        """`early`: also windows that finalise nothing yet, for their provisional frames."""
        self._framing = framing
        self._hop = framing.hop
        self._buffer = SampleBuffer()
        self._reached = 0 if early else framing.lookahead
        """Where the last window ended; the next ends one hop behind it."""
        self._final = 0
        self._run = 0
        """Frames that were in a window."""

    @property
    def hop(self) -> int:
        """Frames between two windows."""
        return self._hop

    @hop.setter
    def hop(self, frames: int) -> None:
        """Takes effect with the next window.

        Raises:
            ValueError: windows this far apart would not tile.
        """
        if frames < 1 or not self._framing.tiles(frames):
            raise ValueError(f"a hop of {frames} frames does not tile {self._framing}")
        self._hop = frames

    def push(self, samples: Float32) -> list[Window]:
        """The windows that are due now that float32 samples [n] came, oldest first."""
        self._buffer.append(samples)
        heard = self._framing.frames(self._buffer.end)
        windows = []
        while self._reached + self._hop <= heard:
            windows.append(self._cut(self._reached + self._hop, self._framing.lookahead))
        return windows

    def finish(self) -> Window | None:
        """The utterance has ended: the window that finalises the frames still open, if any are."""
        heard = self._framing.frames(self._buffer.end)
        return self._cut(heard, 0) if heard > self._final else None

    def _cut(self, end: int, lookahead: int) -> Window:
        framing = self._framing
        final_begin, self._final = self._final, max(self._final, end - lookahead)
        if framing.incremental:
            first, heard_first = final_begin, self._run
        else:
            first = heard_first = max(0, end - framing.window)
        begin_sample, end_sample = framing.span(heard_first, end)
        has_new = heard_first < end
        window = Window(
            samples=self._buffer.view(begin_sample, end_sample if has_new else begin_sample).copy(),
            first_frame=first,
            final_begin=final_begin,
            final_end=self._final,
            frame_end=end,
            end_sample=end_sample,
        )
        self._reached = self._run = end
        # Where nothing more is heard, the last window ends at this one's end.
        self._buffer.forget(end * framing.frame_hop if framing.incremental else begin_sample)
        return window

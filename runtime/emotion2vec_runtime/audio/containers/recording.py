"""A container as a source of audio: its links, holes, and what of it was lost."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from emotion2vec_runtime.audio.containers.ffmpeg import AudioTrack, Joiner
from emotion2vec_runtime.audio.containers.formats import Format
from emotion2vec_runtime.audio.containers.ogg import Chain, Readable
from emotion2vec_runtime.audio.containers.timeline import Timeline
from emotion2vec_runtime.audio.headers import Length
from emotion2vec_runtime.audio.loss import Loss, LossKind
from emotion2vec_runtime.audio.source import Block, undecodable
from emotion2vec_runtime.errors import InvalidRequestError

_SLACK: Final = 0.1
"""Seconds by which a whole file may be shorter than it says: rounded times, and an encoder's
run-in that only some count. A frame of its codec counts as well."""
_UNTIMED: Final = frozenset(
    {Format.MP3, Format.ADTS, Format.LATM, Format.AC3, Format.EAC3, Format.AMR}
)
"""Frame after frame without a time: of a hole, only its size in bytes is known."""
_GROWN = 2.0
"""Times the usual size from which on a broken packet holds more than one packet's damage: FFmpeg's
parsers make one packet of a frame and all the garbage behind it."""


class ContainerSource:
    """A container's first audio track, as a `Source`."""

    def __init__(
        self, file: Readable, form: Format, length: Length, *, is_prompt: bool = False
    ) -> None:
        """`length`: what the container says of it. `is_prompt`: whether audio is to leave packet by
        packet, and not in larger blocks."""
        self._file = file
        self._format = form
        self._length = length
        self._is_prompt = is_prompt
        self._chain: Chain | None = None
        self._stated: float | None = None
        self._heard = self._lost = 0.0
        self._slack = _SLACK
        self._ends_broken = False
        self._has_damage = False

    def blocks(self) -> Iterator[Block]:
        """See `Source`."""
        heard_any = False
        for file in self._files():
            try:
                with AudioTrack(file, self._format) as track:
                    yield from self._play(track)
                    if not self._heard:
                        raise undecodable(track.why_silent())
            except InvalidRequestError:
                if not heard_any:
                    raise
                # A chain goes on without a link that can't be read.
                self._has_damage = True
            heard_any = True

    def losses(self) -> tuple[Loss, ...]:
        """See `Source`."""
        return tuple(self._find_losses())

    def _files(self) -> Iterator[Readable]:
        if self._format is not Format.OGG:
            yield self._file
            return
        self._chain = Chain(self._file)
        yield from self._chain.links()

    def _play(self, track: AudioTrack) -> Iterator[Block]:
        stated = self._length.seconds
        if stated is None and self._length.is_told:
            stated = track.stated_seconds
        clips = self._format is Format.MP4 and stated is not None
        timeline = Timeline(stated, clips=clips, padding=self._length.padding)
        joiner = Joiner()
        usual = _UsualPacket()
        for size, frames, is_broken, gap in track.decode():
            timeline.skip(usual.seconds_of(gap, timeline.heard))
            for frame in frames:
                placed = timeline.place(frame.time, frame.samples, frame.sample_rate)
                yield from joiner.add(frame, placed)
            if frames and size and self._ends_broken:
                self._has_damage, self._ends_broken = True, False
            if is_broken:
                self._note_damage(size, timeline, usual)
            elif size:
                usual.add(size)
            if self._is_prompt:
                yield from joiner.flush()
        yield from joiner.flush()
        if track.has_complained and stated is None and not self._ends_broken:
            # Nothing else would tell that something is missing.
            self._has_damage = True
        self._heard += timeline.heard
        self._lost += timeline.lost
        self._slack = max(self._slack, 1.5 * timeline.longest_frame)
        if stated is not None:
            self._stated = (self._stated or 0.0) + stated

    def _note_damage(self, size: int, timeline: Timeline, usual: _UsualPacket) -> None:
        # What a stream begins with before its first whole frame is no damage.
        if timeline.heard:
            self._ends_broken = True
        if self._format in _UNTIMED:
            timeline.skip(usual.seconds_beyond_one(size, timeline.heard))

    def _find_losses(self) -> Iterator[Loss]:
        heard, lost, stated = self._heard, self._lost, self._stated
        if self._has_damage or lost:
            said = f"{lost:.2f} s are heard as silence" if lost else "parts of it can't be decoded"
            yield Loss(
                LossKind.DAMAGED, stated, heard, lost or None, f"the recording is damaged: {said}"
            )
        if stated is not None and heard + lost < stated - self._slack:
            yield Loss(
                LossKind.TRUNCATED,
                stated,
                heard,
                stated - heard - lost,
                f"the recording ends early: it says that it holds {stated:.2f} s, and ends after "
                f"{heard + lost:.2f} s",
            )
        elif stated is None and self._is_cut:
            yield Loss(
                LossKind.TRUNCATED,
                stated,
                heard,
                None,
                f"the recording ends early, after {heard + lost:.2f} s: its end is missing",
            )

    @property
    def _is_cut(self) -> bool:
        if self._chain is not None and not self._chain.is_complete:
            return True
        return self._ends_broken


class _UsualPacket:
    """The mean size of the packets so far."""

    def __init__(self) -> None:
        self._bytes = self._count = 0

    def add(self, size: int) -> None:
        self._bytes += size
        self._count += 1

    def seconds_of(self, size: int, heard: float) -> float:
        """How long so many bytes last, if all packets so far last `heard` seconds."""
        return heard * size / self._bytes if self._bytes else 0.0

    def seconds_beyond_one(self, size: int, heard: float) -> float:
        """How much longer a broken packet lasts than the one that its container counts it as, if
        all packets so far last `heard` seconds."""
        if not self._count or size < _GROWN * self._bytes / self._count:
            return 0.0
        return heard * (size / self._bytes - 1 / self._count)

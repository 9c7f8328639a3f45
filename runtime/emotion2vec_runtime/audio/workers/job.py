"""What a decoder is to do, and what it says of a recording in the end."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any

from emotion2vec_runtime.audio.containers.formats import Format
from emotion2vec_runtime.audio.headers import Length
from emotion2vec_runtime.audio.loss import Loss, LossKind
from emotion2vec_runtime.audio.mix import Mix
from emotion2vec_runtime.audio.workers.link import Kind, Message


@dataclass(frozen=True, slots=True)
class Job:
    """A recording to decode."""

    format: Format
    length: Length
    """What the container says of it."""
    max_seconds: float
    separate: bool
    start: int = 0
    """Where in the file the container begins."""

    def message(self, *, is_live: bool) -> Message:
        """`is_live`: whether the file comes in DATA messages, and is not there as a whole."""
        fields = asdict(self)
        fields["format"] = self.format.name
        fields["max_seconds"] = None if math.isinf(self.max_seconds) else self.max_seconds
        return Message.of(Kind.OPEN, is_live=is_live, **fields)

    @classmethod
    def of(cls, fields: dict[str, Any]) -> Job:
        """Of a message's fields."""
        limit = fields["max_seconds"]
        return cls(
            Format[fields["format"]],
            Length(*fields["length"]),
            math.inf if limit is None else limit,
            fields["separate"],
            fields["start"],
        )


@dataclass(frozen=True, slots=True)
class Summary:
    """What is known of a recording once it is decoded."""

    source_rate: int
    source_channels: int
    mix: Mix
    losses: tuple[Loss, ...]

    def message(self) -> Message:
        """As the last message of a recording."""
        losses = [[loss.kind.value, *loss[1:]] for loss in self.losses]
        return Message.of(
            Kind.DONE,
            rate=self.source_rate,
            channels=self.source_channels,
            mix=list(self.mix),
            losses=losses,
        )

    @classmethod
    def of(cls, fields: dict[str, Any]) -> Summary:
        """Of a message's fields.

        Raises:
            KeyError, TypeError, ValueError: they are not what a decoder says.
        """
        losses = tuple(
            Loss(LossKind(kind), _seconds(stated), float(heard), _seconds(lost), str(message))
            for kind, stated, heard, lost, message in fields["losses"]
        )
        differ, cancels = fields["mix"]
        mix = Mix(bool(differ), bool(cancels))
        return cls(int(fields["rate"]), int(fields["channels"]), mix, losses)


def _seconds(value: float | None) -> float | None:
    return None if value is None else float(value)

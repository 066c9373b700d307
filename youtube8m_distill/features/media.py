"""Decodes videos, one frame a second and the sound of each second, without ever holding a whole video in memory."""

import contextlib
import os
from collections.abc import Iterator
from typing import Any

import numpy as np

try:
    import av
    import av.error
except ModuleNotFoundError as error:
    advice = "reading videos needs PyAV: pip install 'av>=18' (the extra `features`)."
    raise ModuleNotFoundError(advice, name="av") from error

SOUND_RATE = 16_000  # samples a second
# Seconds. Containers round the times of frames to milliseconds or less, and frame 30 of NTSC's 29.97 begins at 1.001.
ROUNDING = 0.0006
MISSING_SECONDS = 1.0  # of what the header declares, from which on a file counts as cut short
LARGEST_STEP_BACK = 1.0  # seconds between the times of two frames
LARGEST_GAP = SOUND_RATE // 10  # samples; in longer gaps of a sound track there is silence
PLAYLISTS = (".m3u8", ".m3u", ".mpd", ".ffconcat")
DECLARES_DURATION = {"mov", "matroska", "avi"}  # formats that state it in a header; that of others is an estimate


class UnusableVideoError(ValueError):
    """A video that cannot be used. Within this package, the message is the reason, without the name of the file."""


def frames_by_second(path: str | os.PathLike[str], most: int) -> Iterator[np.ndarray]:
    """Yields the frame on the screen at second 0, 1, 2, ... of a video, turned the way that players show it.

    Time 0 is the start of the file. At a time before the first frame, it is the first frame. The last second is the last
    one that begins before the video ends.

    Args:
        path: a local file of any format that FFmpeg reads.
        most: of the frames to yield. The rest is not decoded.
    Yields:
        uint8 [H, W, 3], RGB. H and W may change within a video.
    Raises:
        UnusableVideoError: if there is no video stream, the file is damaged or cut short, or its times are invalid.
    """
    with _opened(path) as container, _naming_second("video") as now:
        stream = _video_stream(container)
        start, shown, second, end = _start(container), None, 0, 0.0
        for frame, time in _timed(_packets(container, stream), stream, start):
            while shown is not None and second < most and time > second + ROUNDING:
                yield _upright(shown)
                second += 1
            if second == most:
                return
            shown, now[0] = frame, max(time, 0.0)
            end = time + _seconds(frame, stream)
        if shown is None:
            raise UnusableVideoError("its video stream holds no frame.")
        while second < most and (second == 0 or second < end - ROUNDING):
            yield _upright(shown)
            second += 1


def sound_by_second(path: str | os.PathLike[str], count: int) -> Iterator[np.ndarray] | None:
    """The sound of second 0, 1, ... count - 1 of a video, or None if it has none.

    All channels are averaged. Before and after the sound track, and in its gaps, there is silence.

    Args:
        path: as for `frames_by_second`; both have the same time 0.
        count: of the seconds.
    Returns:
        An iterator of float32 [16000], samples in -1 .. 1 at 16 kHz.
    Raises:
        UnusableVideoError: while iterating, if the sound cannot be decoded.
    """
    with _opened(path) as container:
        has_sound = bool(container.streams.audio)
    return _seconds_of_sound(path, count) if has_sound else None


def _seconds_of_sound(path, count):
    pieces, held, second = [], 0, 0
    for piece in _sound(path):
        pieces.append(piece)
        held += len(piece)
        if held >= SOUND_RATE:
            samples = np.concatenate(pieces)
            while len(samples) >= SOUND_RATE and second < count:
                yield samples[:SOUND_RATE]
                samples, second = samples[SOUND_RATE:], second + 1
            pieces, held = [samples], len(samples)
        if second == count:
            return
    samples = np.concatenate([*pieces, np.zeros(SOUND_RATE, np.float32)])
    for _ in range(second, count):
        yield samples[:SOUND_RATE]
        samples = np.zeros(SOUND_RATE, np.float32)


def _sound(path):
    """Yields pieces of the sound of a video from time 0 on, float32 [N], with silence in gaps."""
    with _opened(path) as container, _naming_second("sound") as now:
        stream = container.streams.best("audio")
        if stream is None or stream.codec_context is None:
            raise UnusableVideoError("its sound cannot be decoded: FFmpeg has no decoder for it.")
        resampler = av.AudioResampler(format="fltp", rate=SOUND_RATE)  # keeps the channels: each counts equally
        start, position = _start(container), 0
        for frame in container.decode(stream):
            if frame.time is not None:
                now[0] = max(frame.time - start, 0.0)
                gap = round((frame.time - start) * SOUND_RATE) - position
                if gap > LARGEST_GAP or position == 0 < gap:
                    position += gap
                    yield from _silence(gap)
                elif position == 0:
                    position = gap  # negative: samples before time 0, to be left out
            for piece in resampler.resample(frame):
                position, samples = position + piece.samples, _mono(piece)
                if position > 0:
                    yield samples[-position:]
        for piece in resampler.resample(None):
            yield _mono(piece)


def _silence(samples):
    for begin in range(0, samples, SOUND_RATE):
        yield np.zeros(min(SOUND_RATE, samples - begin), np.float32)


def _mono(frame):
    return frame.to_ndarray().mean(axis=0, dtype=np.float32)


@contextlib.contextmanager
def _opened(path) -> Iterator[Any]:
    """An open container. Nothing but the file itself is read, no other file and no address that it may name."""
    if not os.path.getsize(path):
        raise UnusableVideoError("is empty (0 bytes).")
    with open(path, "rb") as file:
        try:
            container = av.open(file, options={"protocol_whitelist": "none"}, metadata_errors="replace")
        except av.error.FFmpegError as error:
            if os.fspath(path).lower().endswith(PLAYLISTS):
                raise UnusableVideoError("is a playlist, not a video; name the videos that it lists.") from error
            raise UnusableVideoError(f"is not a video, or its header is damaged ({error.strerror}).") from error
        with container:
            if container.format.name == "tty":
                raise UnusableVideoError("is a text, not a video.")  # which FFmpeg would draw
            yield container


@contextlib.contextmanager
def _naming_second(what):
    """Turns errors of decoding into UnusableVideoErrors that name the second, the only item of the list that it yields."""
    now = [0.0]
    try:
        yield now
    except UnusableVideoError:
        raise
    except (av.error.FFmpegError, ValueError, RuntimeError, MemoryError) as error:  # PyAV checks some values by itself
        reason = getattr(error, "strerror", None) or error
        raise UnusableVideoError(f"its {what} cannot be decoded at second {now[0]:.1f} ({reason}).") from error


def _video_stream(container):
    stream = container.streams.best("video")
    if stream is None or stream.disposition & type(stream.disposition).attached_pic:
        held = ", ".join(sorted({stream.type for stream in container.streams if stream.type != "video"})) or "nothing else"
        raise UnusableVideoError(f"has no video stream; it holds {held}.")
    if stream.codec_context is None:
        raise UnusableVideoError("its video cannot be decoded: FFmpeg has no decoder for it.")
    stream.thread_type = "AUTO"
    return stream


def _start(container):
    """Time 0 of all streams, in seconds of their time stamps."""
    return (container.start_time or 0) / av.time_base


def _packets(container, stream):
    """Yields the packets of a stream; then fails if the file ends long before the time that its header declares."""
    start, end = _start(container), 0.0
    for packet in container.demux():
        if packet.pts is not None:
            end = max(end, float((packet.pts + (packet.duration or 0)) * packet.time_base) - start)
        if packet.stream is stream:
            yield packet
    formats, declared = set(container.format.name.split(",")), (container.duration or 0) / av.time_base
    if "avi" in formats and stream.guessed_rate:  # a cut file has lost its index, but not its number of frames
        declared = max(declared, float(stream.frames / stream.guessed_rate))
    if DECLARES_DURATION & formats and end < declared - MISSING_SECONDS:
        raise UnusableVideoError(f"is cut short: it ends at second {end:.1f} of {declared:.1f}.")


def _timed(packets, stream, start):
    """Yields each frame with its time in seconds from `start`. Times never fall."""
    last = None
    for packet in packets:
        for frame in packet.decode():
            time = _time(frame, last, stream, start)
            if last is not None and time < last - LARGEST_STEP_BACK:
                raise UnusableVideoError(f"its time stamps jump from second {last:.1f} back to {time:.1f}.")
            last = time if last is None else max(time, last)
            yield frame, last


def _time(frame, last, stream, start):
    """When a frame is shown; if it has no time stamp, one frame after the `last`."""
    if frame.time is not None:
        return frame.time - start
    if not stream.guessed_rate:
        raise UnusableVideoError("its frames have no time stamps, and it has no frame rate.")
    return 0.0 if last is None else last + float(1 / stream.guessed_rate)


def _seconds(frame, stream):
    """How long a frame is shown if no other follows it."""
    if frame.duration:
        return float(frame.duration * frame.time_base)
    return float(1 / stream.guessed_rate) if stream.guessed_rate else 0.0


def _upright(frame):
    """The pixels of a frame, uint8 [H, W, 3], turned and mirrored as its display matrix says, to the next right angle.

    The matrix maps a pixel (x, y) to (a x + c y, b x + d y); it is stored as a, b, 0, c, d, 0, ... (ISO/IEC 14496-12).
    """
    image, matrix = frame.to_ndarray(format="rgb24"), frame.side_data.get("DISPLAYMATRIX")
    if matrix is None:
        return image
    a, b, _, c, d, *_ = np.frombuffer(bytes(matrix), np.int32).astype(np.int64)
    if abs(a) + abs(d) < abs(b) + abs(c):
        image, a, d = image.swapaxes(0, 1), c, b
    return np.ascontiguousarray(image[:: -1 if d < 0 else 1, :: -1 if a < 0 else 1])

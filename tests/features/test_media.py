import fractions
import itertools
import tracemalloc

import av
import numpy as np
import pytest

from tests import clips
from youtube8m_distill.features import media
from youtube8m_distill.features.media import UnusableVideoError

NTSC = fractions.Fraction(30_000, 1001)
VARIABLE = [fractions.Fraction(time).limit_denominator(1000) for time in (0, 0.5, 0.9, 2.2, 2.21, 2.99, 3.0, 5.6)]
MILLISECOND = fractions.Fraction(1, 1000)


def numbers(path, most=300):
    return [clips.number_of(frame) for frame in media.frames_by_second(path, most)]


@pytest.mark.parametrize(
    "name, codec, times",
    [
        ("a.mp4", "libx264", clips.at_rate(25, 4)),
        ("a.mkv", "libx264", clips.at_rate(fractions.Fraction(25, 2), 5)),
        ("a.mov", "mpeg4", clips.at_rate(NTSC, 4)),
        ("a.webm", "libvpx-vp9", clips.at_rate(NTSC, 2)),
        ("a.ts", "libx264", clips.at_rate(25, 3)),  # its time stamps do not start at 0
        ("a.avi", "mpeg4", clips.at_rate(10, 4)),
        ("a.mp4", "libx264", VARIABLE),
        ("a.mkv", "libx264", VARIABLE),
        ("a.mp4", "libx264", clips.at_rate(fractions.Fraction(1, 3), 9)),  # slower than one frame a second
        ("a.mp4", "libx264", [0]),
    ],
    ids=["25", "12.5", "29.97", "29.97 webm", "shifted", "avi", "variable mp4", "variable mkv", "slow", "one frame"],
)
def test_the_frame_of_a_second_is_the_one_on_the_screen(name, codec, times, tmp_path):
    time_base = 1 / NTSC if times == clips.at_rate(NTSC, 4) else fractions.Fraction(1, 10) if name == "a.avi" else None
    path = clips.write(tmp_path / name, times, codec, time_base or MILLISECOND)
    found = numbers(path)
    assert found == [clips.on_screen(times, second) for second in range(len(found))]
    lasts = times[-1] - times[-2] if len(times) > 1 else 1
    assert times[-1] < len(found) <= times[-1] + max(lasts, 1) + 1


@pytest.mark.parametrize("rate, seconds, count", [(25, 4, 4), (25, 4.2, 5), (25, 0.2, 1), (10, 1.1, 2)])
def test_a_video_has_as_many_frames_as_seconds_that_begin_in_it(rate, seconds, count, tmp_path):
    assert len(numbers(clips.write(tmp_path / "a.mp4", clips.at_rate(rate, seconds)))) == count


def test_at_most_so_many_frames_are_read(tmp_path):
    path = clips.write(tmp_path / "a.mp4", clips.at_rate(10, 5))
    assert numbers(path, most=3) == [0, 10, 20]


def corners(_):
    """A frame with a black, a red, a green, and a blue corner, in the order of reading."""
    image = np.zeros((48, 64, 3), np.uint8)
    image[:24, 32:, 0] = image[24:, :32, 1] = image[24:, 32:, 2] = 255
    return image


@pytest.mark.parametrize(
    "a, b, c, d",
    [(x, 0, 0, y) for x, y in itertools.product((1, -1), repeat=2)]
    + [(0, x, y, 0) for x, y in itertools.product((1, -1), repeat=2)],
)
def test_a_rotated_or_mirrored_video_is_read_as_it_is_shown(a, b, c, d, tmp_path):
    path = clips.write(tmp_path / "a.mp4", [0], draw=corners)
    clips.set_display_matrix(path, a, b, c, d)
    (found,) = media.frames_by_second(path, 300)
    assert found.shape == ((48, 64, 3) if a else (64, 48, 3))
    for (x, y), channel in zip(((-1, -1), (1, -1), (-1, 1), (1, 1)), (None, 0, 1, 2)):
        moved_x, moved_y = a * x + c * y, b * x + d * y  # of ISO/IEC 14496-12, around the center
        pixel = found[found.shape[0] * (2 + moved_y) // 4, found.shape[1] * (2 + moved_x) // 4]
        assert (pixel > 128).nonzero()[0].tolist() == ([] if channel is None else [channel])
    if a * d - b * c > 0:  # not mirrored: FFmpeg gives the angle
        with av.open(path) as container:
            frame = next(container.decode(video=0))
        turned = np.rot90(frame.to_ndarray(format="rgb24"), k=round((frame.rotation or 0) / 90))
        np.testing.assert_array_equal(found, turned)


def loud(seconds):
    """Two channels of noise, the second silent; the loudness of second i is (i + 1) / 10 on average over both."""
    noise = np.sign(np.random.default_rng(0).normal(size=16_000)).astype(np.float32)
    first = np.concatenate([noise * (second + 1) / 5 for second in range(seconds)])
    return np.stack([first, np.zeros_like(first)])


def loudness(path, count):
    seconds = media.sound_by_second(path, count)
    assert seconds is not None
    found = list(seconds)
    assert len(found) == count and all(second.shape == (16_000,) and second.dtype == np.float32 for second in found)
    return [round(float(np.sqrt(np.mean(second**2))), 3) for second in found]


def test_sound_is_the_mean_of_the_channels_and_silence_after_its_end(tmp_path):
    path = clips.write(tmp_path / "a.mkv", clips.at_rate(10, 5), sound=loud(3))
    assert loudness(path, 5) == [0.1, 0.2, 0.3, 0, 0]
    assert loudness(path, 2) == [0.1, 0.2]


def test_sound_is_exact_at_its_place(tmp_path):
    sound = np.sin(np.arange(32_000, dtype=np.float32) / 7)[None] * 0.9
    path = clips.write(tmp_path / "a.mkv", clips.at_rate(10, 2), sound=sound)
    found = media.sound_by_second(path, 2)
    assert found is not None
    np.testing.assert_allclose(np.concatenate(list(found)), sound[0], atol=1e-4)


def test_sound_that_begins_later_or_has_a_gap_stays_with_the_pictures(tmp_path):
    path, noise = tmp_path / "a.mkv", loud(1)[:1] * 5 * 0.8
    with av.open(str(path), "w") as container:
        video, track = (
            container.add_stream("libx264", rate=10),
            container.add_stream("pcm_s16le", rate=16_000, layout="mono"),
        )
        video.width, video.height, video.pix_fmt = 64, 48, "yuv420p"
        for number in range(60):
            container.mux(video.encode(av.VideoFrame.from_ndarray(clips.picture(number), format="rgb24")))
        container.mux(video.encode(None))
        for start in (1, 4):
            clips.add_sound(container, track, noise, start)
    assert loudness(str(path), 6) == [0, 0.8, 0, 0, 0.8, 0]


def test_a_video_without_sound_has_none(tmp_path):
    assert media.sound_by_second(clips.write(tmp_path / "a.mp4", [0]), 1) is None


def damaged(content):
    """A video with 60 random bytes in the middle."""
    middle = len(content) // 2
    return content[:middle] + np.random.default_rng(0).bytes(60) + content[middle + 60 :]


@pytest.mark.parametrize(
    "name, damage, reason",
    [
        ("a.mp4", lambda content: b"", "is empty (0 bytes)."),
        ("a.mp4", lambda content: b"not a video" * 100, "is not a video, or its header is damaged"),
        ("a.mp4", lambda content: content[: len(content) // 2], "is not a video, or its header is damaged"),
        ("a.mp4", damaged, "its video cannot be decoded at second 3.3 (Invalid data"),
        ("a.mkv", lambda content: content[: len(content) // 2], "is cut short: it ends at second "),
        ("a.avi", lambda content: content[: len(content) // 2], "is cut short: it ends at second "),
    ],
)
def test_a_broken_video_is_refused_with_the_reason(name, damage, reason, tmp_path):
    path = tmp_path / name
    clips.write(path, clips.at_rate(10, 5), "mpeg4", fractions.Fraction(1, 10))
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(UnusableVideoError) as error:
        numbers(path)
    assert str(error.value).startswith(reason)


def test_a_cut_video_whose_header_comes_first_is_refused(tmp_path):
    path = tmp_path / "a.mp4"
    clips.write(path, clips.at_rate(10, 5), movflags="faststart")
    path.write_bytes(path.read_bytes()[: path.stat().st_size * 2 // 3])
    with pytest.raises(UnusableVideoError, match="is cut short: it ends at second .* of 5.0"):
        numbers(path)


def test_a_file_of_sound_is_refused(tmp_path):
    path = tmp_path / "a.wav"
    with av.open(str(path), "w") as container:
        clips.add_sound(container, container.add_stream("pcm_s16le", rate=16_000, layout="stereo"), loud(1))
    with pytest.raises(UnusableVideoError, match="has no video stream; it holds audio"):
        numbers(path)


def test_a_picture_on_the_cover_of_a_song_is_no_video(tmp_path):
    path = tmp_path / "a.mkv"
    clips.write(path, [0], sound=loud(1))
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        stream.disposition = type(stream.disposition).attached_pic
        with pytest.raises(UnusableVideoError, match="has no video stream; it holds audio"):
            media._video_stream(container)


@pytest.mark.parametrize("name, codec", [("a.mp4", "libx264"), ("a.mkv", "libx264"), ("a.avi", "mpeg4")])
def test_a_changed_video_is_read_or_refused(name, codec, tmp_path):
    random, path = np.random.default_rng(0), tmp_path / name
    content = np.fromfile(clips.write(path, clips.at_rate(10, 2), codec, fractions.Fraction(1, 10), loud(2)), np.uint8)
    outcomes = set()
    for _ in range(60):
        changed = content.copy()
        places = random.integers(0, len(content) if random.random() < 0.5 else 500, random.integers(1, 9))
        changed[places] = random.integers(0, 256, len(places))
        changed[: len(content) - int(random.integers(0, 300))].tofile(path)
        try:
            count = len(numbers(path))
            seconds = media.sound_by_second(path, count)
            assert seconds is None or len(list(seconds)) == count
            outcomes.add("read")
        except UnusableVideoError:
            outcomes.add("refused")
    assert outcomes == {"read", "refused"}


def test_a_title_in_another_encoding_does_not_matter(tmp_path):
    path = tmp_path / "a.mkv"
    clips.write(path, [0])
    content = path.read_bytes()
    assert content.count(b"Lavf") > 1  # the name of the program that wrote it, among the tags
    path.write_bytes(content.replace(b"Lavf", b"L\xe9\xffv"))
    assert numbers(path) == [0]


def test_names_of_files_are_not_addresses(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("http:a.mp4", "concat:x|y.mp4", "-a.mp4", "with space, and comma;.mp4", "täst%03d.mp4"):
        (tmp_path / name).write_bytes(b"")
        clips.write(tmp_path / "b.mp4", [0])
        (tmp_path / "b.mp4").replace(tmp_path / name)
        assert numbers(name) == [0]


@pytest.mark.parametrize("address", ["{folder}/other.ts", "other.ts", "http://127.0.0.1:9/other.ts"])
def test_a_playlist_opens_no_other_file(address, tmp_path):
    clips.write(tmp_path / "other.ts", clips.at_rate(10, 1))
    lines = "#EXTM3U", "#EXT-X-TARGETDURATION:1", "#EXTINF:1,", address.format(folder=tmp_path), "#EXT-X-ENDLIST"
    (tmp_path / "a.m3u8").write_text("\n".join(lines))
    with pytest.raises(UnusableVideoError, match="is a playlist, not a video; name the videos that it lists."):
        numbers(tmp_path / "a.m3u8")


def test_a_text_is_no_video(tmp_path):
    (tmp_path / "a.txt").write_text("Some words.\n" * 99)  # FFmpeg would draw them
    with pytest.raises(UnusableVideoError, match="is a text, not a video."):
        numbers(tmp_path / "a.txt")


def test_memory_does_not_grow_with_the_sound(tmp_path):
    path = clips.write(tmp_path / "a.mkv", [0], sound=np.zeros((1, 16_000 * 120), np.float32))
    tracemalloc.start()
    seconds = media.sound_by_second(path, 120)
    assert seconds is not None and sum(len(second) for second in seconds) == 16_000 * 120
    assert tracemalloc.get_traced_memory()[1] < 2e6  # all of it takes 7.7 MB
    tracemalloc.stop()

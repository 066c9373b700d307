import io
import threading

import pytest

from youtube8m_distill import display


class Terminal(io.StringIO):
    def isatty(self):
        return True


class Clock:
    """Stands in for the `time` module; moved by hand."""

    def __init__(self):
        self.seconds = 100.0

    def monotonic(self):
        return self.seconds


@pytest.fixture
def clock(monkeypatch):
    clock = Clock()
    monkeypatch.setattr(display, "time", clock)
    return clock


def bar_and_stream(*arguments, **options):
    stream = io.StringIO()
    return display.ProgressBar(*arguments, stream=stream, **options), stream


def test_without_a_terminal_a_line_is_printed_at_most_every_ten_seconds(clock):
    bar, stream = bar_and_stream(1000, "train", "steps")
    for _ in range(50):  # 25 seconds, 2 steps a second
        clock.seconds += 0.5
        bar.update()
    assert stream.getvalue().splitlines() == [
        "train: 20/1000 steps, 2/s, 0:10, 8:10 left",
        "train: 40/1000 steps, 2/s, 0:20, 8:00 left",
    ]


def test_the_last_line_has_the_final_count_and_the_last_note(clock):
    bar, stream = bar_and_stream(7, "evaluate", "videos")
    with bar:
        bar.update(4, "GAP 0.5")
        clock.seconds += 2
        bar.update(3)
    assert stream.getvalue() == "evaluate: 7/7 videos, 3.5/s, 0:02 | GAP 0.5\n"


def test_nothing_is_printed_if_nothing_was_done():
    bar, stream = bar_and_stream(0, "synthesize", "videos")
    bar.close()
    assert stream.getvalue() == ""


def test_the_rate_excludes_items_of_an_earlier_run(clock):
    bar, stream = bar_and_stream(100, "train", "steps", initial=50)
    clock.seconds += 10
    bar.update(10)
    assert stream.getvalue() == "train: 60/100 steps, 1/s, 0:10, 0:40 left\n"


def test_without_a_total_no_time_left_is_shown(clock):
    bar, stream = bar_and_stream(None, "predict", "videos")
    clock.seconds += 3700
    bar.update(37)
    assert stream.getvalue() == "predict: 37 videos, 0.01/s, 1:01:40\n"


def test_a_separate_line_is_printed_unchanged():
    bar, stream = bar_and_stream(10, "train", "steps")
    bar.write("epoch 1 ends")
    assert stream.getvalue() == "epoch 1 ends\n"


def test_a_terminal_shows_a_bar_with_count_and_note():
    stream = Terminal()
    with display.ProgressBar(4, "train", "steps", initial=1, stream=stream) as bar:
        bar.update(1)
        bar.write("epoch 1 ends")
        bar.update(2, "GAP 0.5")
    shown = stream.getvalue()
    assert "\r" in shown and "epoch 1 ends\n" in shown
    last = shown.split("\r")[-1]
    assert "train: 100%" in last and "4/4" in last and "GAP 0.5" in last and "steps" in last


def test_updates_from_several_threads_are_all_counted(clock):
    bar, _ = bar_and_stream(4000, "synthesize", "videos")
    threads = [threading.Thread(target=lambda: [bar.update() for _ in range(1000)]) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert bar.count == 4000

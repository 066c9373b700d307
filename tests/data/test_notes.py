import numpy as np

from youtube8m_distill.data.notes import NoteCounter


def test_notes_are_summed_and_told_in_one_sentence_each():
    counter = NoteCounter()
    assert counter.in_words() == []
    counter.add(np.float32([[1, 0, 1, 0, 0], [0, 0, 0, 0, 0]]))
    counter.add(np.float32([[1, 1, 0, 1, 0.125], [0, 0, 0, 0, 0.025]]))
    assert counter.in_words() == [
        "2 of 4 videos have more than 300 frames; only the first 300 were used.",
        "1 of 4 videos have no labels.",
        "1 of 4 videos have features of different length; the frames that only some have were left out.",
        "1 of 4 videos lack a feature; zeros were read instead.",
        "3.750% of the stored numbers are beyond -2 .. 2 and were clipped, as in the official files.",
    ]
    assert NoteCounter(300, [0, 0, 0, 0, 3], 20).in_words() == [
        "15.000% of the stored numbers are beyond -2 .. 2 and were clipped; these are probably not features of the official "
        "extractor."
    ]
    assert NoteCounter(300, [1234, 0, 0, 0, 0], 10000).in_words(" (twice)") == [
        "1,234 of 10,000 videos (twice) have more than 300 frames; only the first 300 were used."
    ]

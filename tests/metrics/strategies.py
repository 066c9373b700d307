"""What hypothesis draws for metrics: small sets of videos, with many equal predictions or with none."""

import numpy as np
from hypothesis import strategies as st
from hypothesis.extra import numpy as nst

FEW_SCORES = np.array([-1.0, -0.0, 0.0, 0.25, 0.5, 1.0], np.float32)


@st.composite
def videos_with_ties(draw, max_videos=6, max_classes=8):
    """uint8 labels and float32 predictions [V, C], of six values only, two of which are equal zeros."""
    shape = draw(st.integers(1, max_videos)), draw(st.integers(1, max_classes))
    labels = draw(nst.arrays(np.uint8, shape, elements=st.integers(0, 1)))
    return labels, FEW_SCORES[draw(nst.arrays(np.int8, shape, elements=st.integers(0, len(FEW_SCORES) - 1)))]


@st.composite
def videos_without_ties(draw, max_videos=6, max_classes=8):
    """uint8 labels and float32 predictions [V, C], no two of them equal."""
    shape = draw(st.integers(1, max_videos)), draw(st.integers(1, max_classes))
    labels = draw(nst.arrays(np.uint8, shape, elements=st.integers(0, 1)))
    order = draw(st.permutations(range(labels.size)))
    return labels, (np.array(order, np.float32).reshape(shape) + 1) / (labels.size + 1)


@st.composite
def cuts(draw, num_videos):
    """A new order of the videos, cut into batches: a list of index arrays, some of them empty."""
    order = np.array(draw(st.permutations(range(num_videos))))
    return np.split(order, sorted(draw(st.lists(st.integers(0, num_videos), max_size=3))))

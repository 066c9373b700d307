"""The cost of a video in multiply-adds, by the papers' formulas and for each part of a network as run."""

import functools
import math
from typing import NamedTuple

from reproduce import tables
from youtube8m_distill import config as configs
from youtube8m_distill import schema
from youtube8m_distill.families import build

GIGA = 1e9
CVPR_CLASSES = 3862
FRAME_COUNTS = (schema.MAX_FRAMES, 30, 20, 15, 10, 9, 6)  # 15 and 9: see PUBLISHED_COST


class PublishedCost(NamedTuple):
    """One row of a table in a paper."""

    source: str
    label: str  # as printed
    num_frames: int  # for which the formula gives the printed number; may differ from the label
    num_classes: int  # 0 without a classifier
    giga: float  # the printed "FLOPs (Billion)"


EARLIER_PAPER, CVPR = "Teacher-student network 2018, Table 4", "CVPR 2019, Table 3"
FORMULAS = {EARLIER_PAPER: 0, CVPR: CVPR_CLASSES}  # number of classes of the logistic classifier in the formula
PUBLISHED_COST = (
    PublishedCost(EARLIER_PAPER, "Teacher-Skyline", 300, 0, 5.042),
    PublishedCost(EARLIER_PAPER, "k=30", 30, 0, 0.504),
    PublishedCost(EARLIER_PAPER, "k=20", 15, 0, 0.252),
    PublishedCost(EARLIER_PAPER, "k=10", 9, 0, 0.151),
    PublishedCost(CVPR, "Teacher-Skyline", 300, CVPR_CLASSES, 5.058),
    PublishedCost(CVPR, "k=30", 30, CVPR_CLASSES, 0.520),
    PublishedCost(CVPR, "k=20", 15, CVPR_CLASSES, 0.268),
    PublishedCost(CVPR, "k=10", 9, CVPR_CLASSES, 0.167),
)


class Part(NamedTuple):
    """A part of a network: its multiply-adds per video and its number of weights."""

    name: str
    multiply_adds: int
    parameters: int


def papers_multiply_adds(num_frames, num_classes=0):
    """The cost of H-RNN as counted in the papers' tables: the lower LSTM on rgb alone.

    This formula gives every number in these tables. A frame takes 2 * 2048 * 4096 + 14 * 2048 = 16,805,888 multiply-adds:

    - 2 layers of 1024 cells. Each multiplies its input and its state, 1024 + 1024 numbers, by a kernel
      [2048, 4 * 1024], one column for each gate of each cell.
    - 14 elementwise operations in each of the 2 * 1024 cells: additions of 4 biases and of the forget gate's 1, 3
      sigmoids, 2 tanh, and 3 products and 1 sum for the new carry and state.

    Audio, the upper LSTM, and the mixture of experts are not counted.

    Args:
        num_frames: frames of a video.
        num_classes: classes of a logistic classifier on the 4096 numbers of the encoding; 0 for none.
    """
    return num_frames * (2 * 2048 * 4096 + 14 * 2048) + 4096 * num_classes


def papers_nextvlad_multiply_adds(num_frames):
    """The cost of NeXtVLAD as counted in CVPR 2019, Table 6: the work on each frame's rgb.

    A frame takes 1024 * 2048 + 2048 * 8 * 128 + 8 * 256 * 128 = 4,456,448 multiply-adds: the expansion by 2, the assignment
    to 128 clusters in each of 8 groups, and the weighted sums of parts of 256 numbers. Audio, the attention over groups, the
    hidden layer, the gate, and the classifier are not counted.
    """
    return num_frames * (1024 * 2048 + 2048 * 8 * 128 + 8 * 256 * 128)


@functools.cache  # because building a network takes a second
def parts(network):
    """Multiply-adds and parameters of each part of a network as run, for the most frames that it can read.

    Args:
        network: NetworkConfig, not of a mixture.
    Returns:
        tuple of Part: lower LSTM, upper LSTM, and classifier of H-RNN; encoder and classifier of other families.
    """
    assert not network.is_mixture, network.model
    return build.look_at(network, lambda model: _parts_of(model, network))


def _parts_of(model, network):
    encoder, num_frames = [], network.max_frames
    if network.model == "HierarchicalLstmModel":
        encoder = _levels(model.encoder, num_frames)
    elif model.encoder is not None:
        encoder = [Part("encoder", model.encoder.multiply_adds(num_frames), _parameters(model.encoder))]
    return (*encoder, Part("classifier", model.classifier.multiply_adds(), _parameters(model.classifier)))


def _levels(encoder, num_frames):
    """The two LSTMs of H-RNN. The lower one reads frames, the upper one reads blocks."""
    lower = num_frames * encoder.lower.multiply_adds(encoder.frame_size)
    return [
        Part("lower LSTM", lower, _parameters(encoder.lower)),
        Part("upper LSTM", encoder.multiply_adds(num_frames) - lower, _parameters(encoder.upper)),
    ]


def _parameters(layer):
    return sum(math.prod(weight.shape) for weight in layer.weights)


def cost_table(network, frame_counts=FRAME_COUNTS):
    """A table of the cost by the papers' formula and of each part of the whole network.

    Args:
        network: NetworkConfig of H-RNN. Each row replaces its number of frames and block length.
        frame_counts: ints, one per row.
    Returns:
        tables.Table in 1e9 multiply-adds per video, with the papers' numbers in parentheses.
    """
    by_count = {count: parts(_at(network, count)) for count in frame_counts}
    found = next(iter(by_count.values()))
    columns = (
        *(("papers' formula", source) for source in FORMULAS),
        *(("network as run", name) for name in (*(part.name for part in found), "all")),
    )
    rows = tuple(_row(count, found_parts) for count, found_parts in by_count.items())
    title = "Cost of a video at the published sizes, in 1e9 multiply-adds"
    return tables.Table("cost_parts", title, ("frames",), columns, rows, _note(found))


def _row(num_frames, found):
    by_formula = [
        _value(papers_multiply_adds(num_frames, num_classes), _published(source, num_frames))
        for source, num_classes in FORMULAS.items()
    ]
    costs = [part.multiply_adds for part in found]
    return tables.Row((str(num_frames),), (*by_formula, *map(_value, [*costs, sum(costs)])))


def _at(network, num_frames):
    """The same network for a different number of frames, with the matching block length."""
    is_all = num_frames == schema.MAX_FRAMES
    return network.with_view(
        configs.FrameView() if is_all else configs.FrameView(frame_selection="uniform", frames_per_video=num_frames)
    )


def _published(source, num_frames):
    """A paper's number for this number of frames; None if it has none."""
    return next((row.giga for row in PUBLISHED_COST if (row.source, row.num_frames) == (source, num_frames)), None)


def _value(multiply_adds, paper=None):
    return tables.Value.plain(multiply_adds / GIGA, paper)


def _note(found):
    weights = ", ".join(f"{part.name} {part.parameters:,}" for part in found)
    return (
        "The papers count the lower LSTM on rgb alone at its published size; CVPR 2019 adds a logistic classifier. "
        "Their rows k=20 and k=10 contain the numbers for 15 and 9 frames. "
        f"Parameters of the network as run: {weights}, {sum(part.parameters for part in found):,} in total."
    )

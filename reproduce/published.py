"""The papers' numbers: scores on YouTube-8M, hours, FLOPs, and parameters.

"CVPR" is Bhardwaj et al., Efficient Video Classification Using Fewer Frames, 2019, with its slides. "The earlier paper"
is A Teacher Student Network for Faster Video Classification, 2018. The papers report the same scores but different FLOPs, so
this module has both. Scores are pairs (GAP, mAP). Methods and losses have the names in `trials`; k is None for the Skyline.
"""

from typing import NamedTuple

from reproduce.grid import PAPER_KS
from reproduce.trials import ALL_LOSSES, SKYLINE

UNKNOWN = (None, None)  # where the papers have no number

# CVPR, Table 1: (method, loss) -> scores at k = 6, 10, 15, 20, 30. Table 1 of the earlier paper lacks the two serial rows
# without L_rep.
_TABLE1_ROWS = {
    ("uniform", ()): ((0.715, 0.266), (0.759, 0.324), (0.777, 0.350), (0.785, 0.363), (0.795, 0.378)),
    ("random", ()): ((0.679, 0.246), (0.681, 0.254), (0.717, 0.268), (0.763, 0.329), (0.774, 0.339)),
    ("first", ()): ((0.478, 0.133), (0.539, 0.163), (0.595, 0.199), (0.632, 0.223), (0.676, 0.258)),
    ("middle", ()): ((0.577, 0.178), (0.600, 0.198), (0.620, 0.214), (0.638, 0.229), (0.665, 0.250)),
    ("last", ()): ((0.255, 0.062), (0.267, 0.067), (0.282, 0.077), (0.294, 0.083), (0.317, 0.094)),
    ("first_middle_last", ()): ((0.640, 0.215), (0.671, 0.242), (0.680, 0.249), (0.698, 0.268), (0.721, 0.287)),
    ("parallel", ("rep",)): ((0.724, 0.280), (0.762, 0.331), (0.785, 0.365), (0.794, 0.380), (0.803, 0.392)),
    ("parallel", ("rep", "ce")): ((0.726, 0.285), (0.766, 0.334), (0.785, 0.362), (0.795, 0.381), (0.804, 0.396)),
    ("parallel", ALL_LOSSES): ((0.729, 0.292), (0.770, 0.337), (0.789, 0.371), (0.796, 0.388), (0.806, 0.404)),
    ("serial", ("rep",)): ((0.727, 0.288), (0.768, 0.339), (0.786, 0.365), (0.795, 0.381), (0.802, 0.394)),
    ("serial", ("pred",)): ((0.722, 0.287), (0.766, 0.341), (0.784, 0.367), (0.793, 0.383), (0.798, 0.390)),
    ("serial", ("rep", "ce")): ((0.728, 0.291), (0.769, 0.341), (0.786, 0.368), (0.794, 0.383), (0.803, 0.399)),
    ("serial", ("pred", "ce")): ((0.724, 0.289), (0.763, 0.341), (0.785, 0.369), (0.795, 0.386), (0.799, 0.391)),
    ("serial", ALL_LOSSES): ((0.731, 0.297), (0.771, 0.349), (0.789, 0.375), (0.798, 0.390), (0.806, 0.405)),
}
TABLE1: dict[tuple, tuple[float, float]] = {
    (method, loss, k): scores for (method, loss), row in _TABLE1_ROWS.items() for k, scores in zip(PAPER_KS, row)
}
SKYLINE_SCORES = (0.811, 0.414)  # CVPR, caption of Table 1

# CVPR, Table 2; the earlier paper, Table 3: (method, fraction of the training videos) -> scores at k = 30.
TABLE2 = {
    ("serial", 0.1): (0.774, 0.345),
    ("serial", 0.25): (0.788, 0.369),
    ("serial", 0.5): (0.796, 0.373),
    ("uniform", 0.1): (0.718, 0.220),
    ("uniform", 0.25): (0.756, 0.301),
    ("uniform", 0.5): (0.776, 0.349),
}


class Cost(NamedTuple):
    """Hours for the original validation set on Tesla K80s, and 1e9 "FLOPs" (multiply-adds, see `flops`) per video."""

    hours: float | None
    giga: float | None  # CVPR
    earlier_giga: float | None  # the earlier paper


# CVPR, Table 3; the earlier paper, Table 4: k -> Cost. The hours are the same in both.
TABLE3 = {
    None: Cost(13.00, 5.058, 5.042),
    10: Cost(7.61, 0.167, 0.151),
    20: Cost(8.20, 0.268, 0.252),
    30: Cost(9.11, 0.520, 0.504),
}

# CVPR, Table 4; the earlier paper, Table 2: (method, loss, whether L_rep^I is matched) -> scores at k = 30. Both papers call
# one row "L_rep + L_pred". Without L_rep^I, it has the scores of L_rep, L_pred, L_CE in Table 1, so that is its loss here.
TABLE4 = {
    ("parallel", ("rep",), True): (0.803, 0.393),
    ("parallel", ("rep",), False): (0.803, 0.392),
    ("parallel", ("rep", "ce"), True): (0.803, 0.396),
    ("parallel", ("rep", "ce"), False): (0.804, 0.396),
    ("parallel", ALL_LOSSES, True): (0.804, 0.400),
    ("parallel", ALL_LOSSES, False): (0.806, 0.404),
    ("serial", ("rep",), True): (0.804, 0.395),
    ("serial", ("rep",), False): (0.802, 0.394),
    ("serial", ("rep", "ce"), True): (0.803, 0.397),
    ("serial", ("rep", "ce"), False): (0.803, 0.399),
    ("serial", ALL_LOSSES, True): (0.806, 0.405),
    ("serial", ALL_LOSSES, False): (0.806, 0.405),
}

# CVPR, Table 5 (mAP first): NetVLAD, (method, k) -> scores. The student is serial with all three losses.
TABLE5 = {
    (SKYLINE, None): (0.823, 0.462),
    ("uniform", 10): (0.773, 0.364),
    ("serial", 10): (0.784, 0.383),
    ("uniform", 30): (0.803, 0.421),
    ("serial", 30): (0.812, 0.436),
}

# CVPR, Table 6 (mAP first): NeXtVLAD, (method, k) -> scores, and 1e9 FLOPs per video. Student as in Table 5.
TABLE6 = {(SKYLINE, None): (0.831, 0.464), ("uniform", 30): (0.812, 0.424), ("serial", 30): (0.818, 0.439)}
TABLE6_GIGA = {(SKYLINE, None): 1.337, ("uniform", 30): 0.134, ("serial", 30): 0.134}

# Slides of CVPR 2019, "Experiments: Rewards" and "Computation Cost", at k = 10: method, or (reward, actions) -> scores.
# Those of Skyline and Random differ from Table 1.
SKIPFRAME = {
    SKYLINE: (0.812, 0.414),
    "uniform": (0.759, 0.324),
    "random": (0.675, 0.251),
    "first": (0.539, 0.163),
    "middle": (0.600, 0.198),
    "last": (0.267, 0.067),
    ("delayed", "5-25"): (0.755, 0.322),
    ("immediate", "5-25"): (0.738, 0.286),
    ("delayed", "alt-5-25"): (0.742, 0.291),
    ("immediate", "alt-5-25"): (0.739, 0.288),
    ("gap", "5-25"): (0.764, 0.341),
}
SKIPFRAME_K = 10
SKIPFRAME_VIDEO_FRAMES = 230  # the mean, which the slides give as the Skyline's number of frames
DECISION_MULTIPLY_ADDS = 81_920  # of a SkipFrame's policy, "81.92 K"


class SegmentScores(NamedTuple):
    """Millions of parameters, and MAP@100,000 on the private and the public leaderboard of the challenge of 2019."""

    parameters: int
    private: float
    public: float


# MOD 2019 (Lin, Xiao, Fan), Tables 1 and 2.
MOD_TABLE1 = {
    "Dummy prediction": SegmentScores(83, 0.64809, 0.66188),
    "DBoF Baseline": SegmentScores(16, 0.69882, 0.71077),
    "NeXtVLAD, no pretraining": SegmentScores(83, 0.77009, 0.77730),
    "NeXtVLAD": SegmentScores(83, 0.79642, 0.80635),
    "NeXtVLAD_large": SegmentScores(320, 0.80586, 0.81611),
    "NeXtVLAD_distill": SegmentScores(83, 0.81509, 0.82267),
}
MOD_TABLE2 = {
    "MixNeXtVLAD (T=0)": SegmentScores(250, 0.80797, 0.81688),
    "MixNeXtVLAD (T=1)": SegmentScores(250, 0.81125, 0.82023),
    "MixNeXtVLAD (T=10)": SegmentScores(250, 0.81617, 0.82477),
    "MixNeXtVLAD (T=20)": SegmentScores(250, 0.81984, 0.82699),
    "MixNeXtVLAD_large (T=20)": SegmentScores(1280, 0.82262, 0.83014),
    "MODNeXtVLAD (T=20)": SegmentScores(1000, 0.82512, 0.83251),
}


def table1(method, loss=(), k=None):
    """Scores of H-RNN. The Skyline has the same scores at every k.

    Args:
        method: one of trials.METHODS.
        loss: loss terms, in the order of config.CVPR_LOSSES; empty without a student.
        k: number of frames.
    Returns:
        (GAP, mAP), or (None, None) if the papers have no scores. The functions below return the same.
    """
    return SKYLINE_SCORES if method == SKYLINE else TABLE1.get((method, loss, k), UNKNOWN)


def table2(method, fraction, k):
    """Scores with a fraction of the training videos. Those with all videos are from Table 1."""
    if fraction == 1.0:
        return table1(method, ALL_LOSSES if method == "serial" else (), k)
    return TABLE2.get((method, fraction), UNKNOWN) if k == 30 else UNKNOWN


def table3(k):
    """Cost at k frames; None means all."""
    return TABLE3.get(k, Cost(None, None, None))


def table4(method, loss, intermediate, k):
    """Scores with or without matching intermediate representations."""
    return TABLE4.get((method, loss, intermediate), UNKNOWN) if k == 30 else UNKNOWN


def table5(method, k):
    """Scores of NetVLAD."""
    return TABLE5.get((method, k), UNKNOWN)


def table6(method, k):
    """Scores of NeXtVLAD."""
    return TABLE6.get((method, k), UNKNOWN)


def skipframe(method, k, reward="", actions=""):
    """Scores of SkipFrame and of what the slides compare it with."""
    is_known = k == SKIPFRAME_K or method == SKYLINE
    return SKIPFRAME.get((reward, actions) if reward else method, UNKNOWN) if is_known else UNKNOWN

"""The configuration of a cascade, as its `cascade.json` holds it."""

from typing import Annotated, Literal, get_args

import pydantic

from youtube8m_distill.settings import LIST_AS_TUPLE, Settings, require, setting

Criterion = Literal["expected_ap", "gate"]
CRITERIA = get_args(Criterion)


class CascadeOptions(Settings):
    """How the thresholds of a cascade are chosen."""

    max_gap_loss: float = setting(
        0.005, "How much lower than that of the last network the GAP@20 on the validation videos may be.", ge=0
    )
    criterion: Criterion = setting(
        "expected_ap",
        "What makes a network sure of a video: expected_ap, the average precision that its probabilities promise; gate, "
        "a logistic regression on its encoding that predicts whether the next network helps.",
    )
    combine: bool = setting(
        True, "Count the answers of all networks that a video has passed, with fitted weights, and not only the last one's."
    )
    gate_margin: float = setting(
        0.0, "With --criterion=gate: the next network helps if it lowers the label loss by more than this.", ge=0
    )

    def model_post_init(self, context, /):
        reason = "has an effect only with criterion=gate."
        require(self.criterion == "gate" or not self.gate_margin, "gate_margin", reason, self.gate_margin)


class StageSettings(Settings):
    """One network of a cascade, and what it would give alone on the validation videos."""

    train_dir: str  # absolute
    relative_train_dir: str  # as seen from the cascade's folder: both may be moved together
    made_from: dict[str, bool | int | str]  # what its predictions depend on: network, weights, seed, ...
    a: float = pydantic.Field(gt=0)  # of its Calibration
    b: float
    c: float = pydantic.Field(0.0, ge=0)  # how much the answer of the networks before counts
    threshold: float | None  # answers videos with this confidence or more; None: no video or, for the last, all
    gap: float
    mean_frames: float
    mean_multiply_adds: float


class FrontierPoint(Settings):
    """Thresholds on the path of the search, and what they give on the validation videos."""

    thresholds: Annotated[tuple[float | None, ...], LIST_AS_TUPLE]  # of all networks but the last
    gap: float
    mean_frames: float
    mean_multiply_adds: float
    videos: Annotated[tuple[int, ...], LIST_AS_TUPLE]  # that each network answers


class CascadeSettings(Settings):
    """The contents of `cascade.json`."""

    options: CascadeOptions
    validation_data_pattern: str
    validation_files: str  # their fingerprint
    num_videos: int  # that the thresholds were chosen on
    chosen: FrontierPoint
    stages: Annotated[tuple[StageSettings, ...], LIST_AS_TUPLE] = pydantic.Field(min_length=2)
    frontier: Annotated[tuple[FrontierPoint, ...], LIST_AS_TUPLE]
    gates_sha256: str = ""

    def model_post_init(self, context, /):
        reason = "must have one threshold fewer than there are networks."
        points = (self.chosen, *self.frontier)
        require(all(len(point.thresholds) == len(self.stages) - 1 for point in points), "thresholds", reason)
        require(not self.stages[0].c, "c", "must be 0 for the first network, which has none before it.", self.stages[0].c)

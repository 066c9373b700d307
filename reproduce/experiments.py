"""The two kinds of experiments: on frames of whole videos (CVPR 2019), and on rated segments (MOD 2019)."""

from collections.abc import Callable
from typing import NamedTuple

from reproduce import findings, flags, segment_experiment, segment_findings, segment_settings, settings
from reproduce.grid import Grid
from reproduce.recipes import SEGMENT_RECIPES
from reproduce.segment_worker import SegmentWorker
from reproduce.tables import MEASURES, SEGMENT_MEASURES
from reproduce.worker import Worker


class Experiment(NamedTuple):
    """How the trials of a paper are set up, trained, and judged.

    Attributes:
        title: of the report.
        settings_from_flags: function to the settings, and the files by flag.
        run_config: function from trial, settings, and folder to a RunConfig.
        flag_of: function from trial and setting of its RunConfig to the flag that gives the setting.
        worker: the class that trains the trials.
        judge: function from results and a function from recipe to Grid to a list of Finding.
        measures: dict from the measures of the findings to titles.
        options: the fields of a Grid that select its trials.
    """

    title: str
    settings_from_flags: Callable
    run_config: Callable
    flag_of: Callable
    worker: type[Worker]
    judge: Callable
    measures: dict[str, str]
    options: tuple[str, ...]


FRAMES = Experiment(
    "Efficient Video Classification Using Fewer Frames: a reproduction",
    flags.settings_from_flags,
    settings.run_config,
    lambda trial, setting: setting,
    Worker,
    findings.judge,
    MEASURES,
    tuple(Grid.model_fields),
)
SEGMENTS = Experiment(
    "MOD, a Deep Mixture Model with Online Knowledge Distillation: a reproduction",
    segment_experiment.settings_from_flags,
    segment_settings.run_config,
    segment_experiment.flag_of,
    SegmentWorker,
    segment_findings.judge,
    SEGMENT_MEASURES,
    ("seeds", "other_seeds"),
)


def experiment_of(recipes) -> Experiment:
    """The experiment that some recipes belong to.

    Raises:
        ValueError: if they do not belong to the same.
    """
    of_segments = [name for name in recipes if name in SEGMENT_RECIPES]
    if of_segments and len(of_segments) < len(recipes):
        raise ValueError(f"{', '.join(of_segments)} need other data and settings. Run them in a separate --output_dir.")
    return SEGMENTS if of_segments else FRAMES

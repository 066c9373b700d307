"""Cascades of small networks with random weights, for tests of what reads and builds them."""

import os

from tests import commands, networks
from youtube8m_distill import config, runs
from youtube8m_distill.engine.strategy import make_strategy
from youtube8m_distill.runs.cascade import write_cascade
from youtube8m_distill.runs.loaded_cascade import made_from

VIEWS = {
    "small": config.FrameView(frame_selection="random", frames_per_video=2),
    "middle": config.FrameView(frame_selection="first", frames_per_video=4),
    "large": config.FrameView(frame_selection="uniform", frames_per_video=7),
}
MAPS = (0.5, -0.2), (1.5, 0.1), (0.8, 0.3)  # a and b of each network
COMBINED_MAPS = ((0.5, -0.2, 0.0), (1.5, 0.1, 0.9), (0.8, 0.3, 0.6))  # a, b, and c: later ones count those before


def save_runs(folder, names=("small", "large"), **network):
    """Runs of networks that see more and more frames, each with other weights; options of `networks.frame_level`."""
    return [
        commands.save_run(folder / name, networks.frame_level(view=VIEWS[name], **network), steps=(step,))
        for step, name in enumerate(names, 3)
    ]


def save_cascade(folder, trained, thresholds, maps=MAPS, criterion="expected_ap", gates=()):
    """A Cascade of runs with these thresholds, None for one that answers no video."""
    point = {"gap": 0.5, "mean_frames": 4.0, "mean_multiply_adds": 100.0}
    chosen = config.FrontierPoint(thresholds=tuple(thresholds), videos=(0,) * len(trained), **point)
    stages = [
        config.StageSettings(
            train_dir=str(run.folder.resolve()),
            relative_train_dir=os.path.relpath(run.folder, folder),
            made_from=made_from(runs.LoadedNetwork(run, make_strategy(), for_metrics=False)),
            **dict(zip("abc", numbers)),
            threshold=threshold,
            **point,
        )
        for run, numbers, threshold in zip(trained, maps, (*thresholds, None))
    ]
    settings = config.CascadeSettings(
        options=config.CascadeOptions(criterion=criterion),
        validation_data_pattern="validate",
        validation_files="",
        num_videos=10,
        chosen=chosen,
        stages=tuple(stages),
        frontier=(chosen,),
    )
    return write_cascade(folder, settings, gates)

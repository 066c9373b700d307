"""The effect of bfloat16 on scores: GAP of the same weights in both precisions.

    python benchmarks/precision.py [--output_dir=precision]

A small H-RNN (64 cells, 30 frames) is trained in float32 for a few epochs on a small synthetic sample set. It is scored
twice on the 1,000 held-out videos: in float32 and with --mixed_precision.
"""

import contextlib
import pathlib
import tempfile

from absl import flags

import accuracy
import figures
from youtube8m_distill import runs
from youtube8m_distill.engine.strategy import make_strategy
from youtube8m_distill.metrics.evaluate import Evaluator

OUTPUT_DIR = flags.DEFINE_string(
    "output_dir", None, "Folder in which to keep the sample set and the run for reuse. Default: a temporary folder."
)


def measure():
    with contextlib.ExitStack() as stack:
        folder = pathlib.Path(OUTPUT_DIR.value or stack.enter_context(tempfile.TemporaryDirectory()))
        accuracy.write_sample(folder)
        accuracy.train_and_score(
            folder,
            folder / "run",
            num_classes=accuracy.SAMPLE["num_classes"],
            lstm_cells=64,
            frames_per_video=30,
            num_epochs=4,
        )
        gap = {mixed: score(folder, mixed) for mixed in (False, True)}
    yield figures.Figure("GAP in float32", gap[False])
    yield figures.Figure("difference of the GAP in bfloat16", abs(gap[True] - gap[False]), at_most=0.002)


def score(folder, mixed):
    network = runs.LoadedNetwork(runs.open_run(folder / "run"), make_strategy(), mixed_precision=mixed)
    shards = runs.find_shards("eval_data_pattern", f"{folder}/{accuracy.SCORED}", network.config.features)
    return network.evaluate(shards, None, Evaluator(network.config.num_classes))["gap_at_20"]


if __name__ == "__main__":
    figures.run(measure)

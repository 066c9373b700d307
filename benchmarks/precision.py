"""What bfloat16 does to the scores: GAP of one network's weights in both precisions.

    python benchmarks/precision.py [--output_dir=precision]

A small H-RNN (64 cells, 30 frames) is trained in float32 for a few epochs on a small synthetic sample set and scored on its
1,000 held-out videos twice, as it is and with --mixed_precision. Figures on synthetic data.
"""

import contextlib
import pathlib
import tempfile

from absl import flags

import figures
import road
from youtube8m_distill import runs
from youtube8m_distill.engine.strategy import make_strategy
from youtube8m_distill.metrics.evaluate import Evaluator

OUTPUT_DIR = flags.DEFINE_string(
    "output_dir", None, "Where the sample set and the run go, to be used again. Default: nowhere."
)


def measure():
    with contextlib.ExitStack() as stack:
        folder = pathlib.Path(OUTPUT_DIR.value or stack.enter_context(tempfile.TemporaryDirectory()))
        road.write_sample(folder)
        road.train_and_score(
            folder, folder / "run", num_classes=road.SAMPLE["num_classes"], lstm_cells=64, frames_per_video=30, num_epochs=4
        )
        gap = {mixed: score(folder, mixed) for mixed in (False, True)}
    yield figures.Figure("GAP in float32", gap[False])
    yield figures.Figure("GAP in bfloat16, how far from it", abs(gap[True] - gap[False]), at_most=0.002)


def score(folder, mixed):
    network = runs.LoadedNetwork(runs.open_run(folder / "run"), make_strategy(), mixed_precision=mixed)
    shards = runs.find_shards("eval_data_pattern", f"{folder}/{road.SCORED}", network.config.features)
    return network.evaluate(shards, None, Evaluator(network.config.num_classes))["gap_at_20"]


if __name__ == "__main__":
    figures.run(measure)

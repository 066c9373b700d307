"""A cascade in --train_dir, for the commands that otherwise take a training directory there."""

from typing import Any

import tensorflow as tf

from youtube8m_distill import runs
from youtube8m_distill.cli import starter_flags
from youtube8m_distill.cli.flags import FLAGS
from youtube8m_distill.cli.values import reading_of

REFUSED = {
    "checkpoint": "it has the best weights of its networks",
    "network": "it uses all of its networks",
    "mixed_precision": "each network keeps the precision of its training",
    "segment_labels": "its networks are for whole videos",
    "segment_label_ids_file": "its networks are for whole videos",
    "output_model_tgz": "an archive holds a single network",
}


def load_cascade(strategy: tf.distribute.Strategy, **options: Any) -> runs.LoadedCascade:
    """The cascade in --train_dir, with `options` of LoadedCascade. SettingError for flags of single networks."""
    starter_flags.refuse_without_effect(REFUSED, f"the cascade in {FLAGS.train_dir}", "its settings come from its runs")
    cascade = runs.open_cascade(FLAGS.train_dir)
    reading = reading_of(cascade.open_runs()[0].config.reading, segment_labels=False, segment_label_ids_file="")
    return runs.LoadedCascade(cascade, strategy, reading, **options)

"""The networks that `yt8m predict` runs with TensorFlow: a run, an archive, a cascade, or a SavedModel in --train_dir."""

import os

from youtube8m_distill import runs, schema
from youtube8m_distill.cli import starter_flags
from youtube8m_distill.cli.cascade_dir import load_cascade
from youtube8m_distill.cli.flags import FLAGS
from youtube8m_distill.cli.values import reading_of
from youtube8m_distill.engine.cluster import refuse_cluster
from youtube8m_distill.engine.strategy import make_strategy

REFUSED = {
    "checkpoint": "it has one set of weights",
    "network": "it is a single network",
    "mixed_precision": "it computes in float32",
    "num_gpu": "TensorFlow places it on the first device",
}


class FileTagger:
    """Predicts the videos in one file after the other."""

    def __init__(self, tagger):
        self.tagger, self.configs = tagger, tagger.configs

    def predict(self, pattern):
        shards = runs.find_shards("FILE", pattern, self.configs[0].features, self.configs, (), self.tagger.reading)
        for batch in self.tagger.predict(shards, FLAGS.batch_size):
            yield {**batch, schema.PATH: [shards[index].path for index in batch[schema.SHARD]]}


def load(stack):
    """The network or cascade in --train_dir, and its folder, as `predict.load` describes them."""
    refuse_cluster(os.environ)
    tagger, folder = load_tagger(stack, make_strategy(FLAGS.num_gpu))
    return FileTagger(tagger), folder


def load_tagger(stack, strategy):
    """The Tagger of the network or cascade in --train_dir, and the folder that it is in, which lasts as long as `stack`."""
    options = {"top_k": FLAGS.top_k, "for_metrics": False}
    if runs.is_cascade(FLAGS.train_dir):
        return load_cascade(strategy, **options), FLAGS.train_dir
    run = stack.enter_context(runs.opened(FLAGS.train_dir))
    starter_flags.check_repeated(run.config, run.role(FLAGS.network), run.folder)
    reading = reading_of(run.config.reading, segment_labels=False, segment_label_ids_file="")
    checkpoint = FLAGS.checkpoint or "best"
    loaded = runs.LoadedNetwork(run, strategy, FLAGS.network, checkpoint, FLAGS.mixed_precision, reading, **options)
    return loaded, run.folder


def load_saved_model(folder, exported):
    """The network in a folder, whose `export.json` was read, as `predict.load` describes it."""
    starter_flags.refuse_without_effect(REFUSED, f"the SavedModel in {folder}", "its settings are fixed")
    reading = reading_of(exported.reading, segment_labels=False, segment_label_ids_file="")
    return FileTagger(runs.LoadedExport(folder, reading, FLAGS.top_k))

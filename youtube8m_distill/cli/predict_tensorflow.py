"""The networks that `yt8m predict` runs with TensorFlow: a run, an archive, a cascade, or a SavedModel in --train_dir."""

import os

from youtube8m_distill import runs
from youtube8m_distill.cli import entry, starter_flags
from youtube8m_distill.cli.cascade_dir import load_cascade
from youtube8m_distill.cli.flags import FLAGS
from youtube8m_distill.cli.values import reading_of, vocabulary
from youtube8m_distill.engine.cluster import refuse_cluster
from youtube8m_distill.engine.strategy import make_strategy

OF_RUNS = {
    "checkpoint": "it has one set of weights",
    "network": "it is a single network",
    "mixed_precision": "it computes in float32",
}


class FileTagger:
    """Predicts the videos in one file after the other."""

    def __init__(self, tagger):
        self.tagger, self.configs = tagger, tagger.configs

    def predict(self, path):
        shards = runs.find_shards("FILE", path, self.configs[0].features, self.configs, (), self.tagger.reading)
        yield from self.tagger.predict(shards, FLAGS.batch_size)


def load(stack, exported_folder):
    """As `predict.load`; `exported_folder` is that of a SavedModel, or None."""
    refuse_cluster(os.environ)
    folder = FLAGS.train_dir
    if exported_folder is not None:
        tagger = _saved_model(exported_folder)
    elif runs.is_cascade(folder):
        tagger = load_cascade(make_strategy(FLAGS.num_gpu), top_k=FLAGS.top_k, for_metrics=False)
    else:
        with entry.about("train_dir"):
            run = stack.enter_context(runs.opened(folder))
        folder, tagger = run.folder, _network(run)
    return FileTagger(tagger), vocabulary(folder)


def _network(run):
    starter_flags.check_repeated(run.config, run.role(FLAGS.network), run.folder)
    reading = reading_of(run.config.reading, segment_labels=False, segment_label_ids_file="")
    strategy, checkpoint = make_strategy(FLAGS.num_gpu), FLAGS.checkpoint or "best"
    options = {"top_k": FLAGS.top_k, "for_metrics": False}
    return runs.LoadedNetwork(run, strategy, FLAGS.network, checkpoint, FLAGS.mixed_precision, reading, **options)


def _saved_model(folder):
    starter_flags.refuse_without_effect(OF_RUNS, f"the SavedModel in {folder}", "its settings are fixed")
    make_strategy(FLAGS.num_gpu)  # refuses GPUs that do not exist
    loaded = runs.LoadedExport(folder, top_k=FLAGS.top_k)
    loaded.reading = reading_of(loaded.reading, segment_labels=False, segment_label_ids_file="")
    return loaded

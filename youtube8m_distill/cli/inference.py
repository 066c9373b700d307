"""Predicts the classes of videos with a trained network or a cascade, as a Kaggle CSV."""

import contextlib
import os
import tempfile
import time

from youtube8m_distill import runs
from youtube8m_distill.cli import entry
from youtube8m_distill.cli.cascade_dir import load_cascade
from youtube8m_distill.cli.flags import FLAGS
from youtube8m_distill.cli.starter_flags import check_repeated
from youtube8m_distill.cli.values import exclusions, reading_of, value_exponents, vocabulary, warn_of_unnamed
from youtube8m_distill.data.compact import check_networks
from youtube8m_distill.engine.cluster import refuse_cluster
from youtube8m_distill.engine.strategy import make_strategy
from youtube8m_distill.errors import SettingError
from youtube8m_distill.export.named import path_with_names, write_names
from youtube8m_distill.runs.archive import pack, unpack


def main():
    with contextlib.ExitStack() as stack, entry.user_errors():
        refuse_cluster(os.environ)
        strategy = make_strategy(FLAGS.num_gpu)
        tagger = load(stack, strategy)
        names = vocabulary()
        warn_of_unnamed(names, tagger.configs[0].num_classes)
        pattern, features = FLAGS.input_data_pattern, tagger.configs[0].features
        shards = runs.find_shards("input_data_pattern", pattern, features, tagger.configs, exclusions(), tagger.reading)
        inputs = {os.path.realpath(shard.path) for shard in shards}
        for name in ("output_file", "output_model_tgz"):
            if os.path.realpath(str(FLAGS[name].value)) in inputs:
                raise SettingError(name, "is also an input file; name another.", FLAGS[name].value)
        if isinstance(tagger, runs.LoadedNetwork) and FLAGS.output_model_tgz:
            write_archive(tagger)
        if isinstance(tagger, runs.LoadedNetwork) and FLAGS.segment_labels:
            retrieve(tagger, strategy, shards)
            return
        started = time.monotonic()
        with entry.about("output_file", "was not written: "), entry.advising_on_bad_records():
            written = runs.predict_to_csv(FLAGS.output_file, tagger, shards, FLAGS.batch_size)
        if names is not None:
            with entry.about("vocabulary", "names were not written: "):
                write_names(FLAGS.output_file, path_with_names(FLAGS.output_file), names)
    print(
        f"{written.notes.num_videos} videos by the {tagger.name} in {time.monotonic() - started:.1f} s: {FLAGS.output_file}"
    )
    for line in (*tagger.summary(written.stages), *written.notes.in_words()):
        print(line)


def load(stack, strategy):
    """The cascade in --train_dir; or the network there or in --input_model_tgz, unpacked until `stack` closes."""
    options = {"top_k": FLAGS.top_k, "for_metrics": False}
    if runs.is_cascade(FLAGS.train_dir):
        return load_cascade(strategy, **options)
    run = open_run(stack)
    check_repeated(run.config, run.role(FLAGS.network), run.folder)
    reading = reading_of(run.config.reading, segment_labels=False, segment_label_ids_file="")
    return runs.LoadedNetwork(run, strategy, FLAGS.network, checkpoint(), FLAGS.mixed_precision, reading, **options)


def checkpoint():
    return FLAGS.checkpoint or "best"


def write_archive(network):
    """Packs the network into --output_model_tgz."""
    with entry.about("output_model_tgz", "was not written: "):
        packed = pack(network.run, checkpoint(), FLAGS.output_model_tgz)
    if packed != network.progress:
        reason = "holds a checkpoint that the training has just saved, not the one to predict with; run it again."
        raise SettingError("output_model_tgz", reason, FLAGS.output_model_tgz)


def retrieve(ranker, strategy, shards):
    """Writes the best segments of each class."""
    started, candidate = time.monotonic(), None
    with entry.about("input_data_pattern"):
        check_networks(shards, [], of_segments=True)
    classes = runs.segment_classes(reading_of(ranker.run.config.reading, segment_labels=True), ranker.config.num_classes)
    wanted = runs.Retrieval(classes, FLAGS.top_k, value_exponents(), FLAGS.segment_frames, FLAGS.segment_max_pred)
    if FLAGS.candidate_dir:
        run = runs.open_run(FLAGS.candidate_dir)
        with entry.about("candidate_dir"):
            # A step is one of the segment network.
            of_candidate = checkpoint() if checkpoint() in ("best", "last") else "best"
            candidate = runs.LoadedNetwork(run, strategy, None, of_candidate, FLAGS.mixed_precision, ranker.reading)
    retriever = runs.SegmentRetriever(ranker, candidate, strategy, wanted)
    with entry.about("output_file", "was not written: "), entry.advising_on_bad_records():
        count, notes = runs.retrieve_to_csv(FLAGS.output_file, retriever, shards, FLAGS.batch_size)
    print(
        f"{count} segments of {notes.num_videos} videos for {len(classes)} classes by the {ranker.name} in "
        f"{time.monotonic() - started:.1f} s: {FLAGS.output_file}"
    )
    for line in notes.in_words():
        print(line)


def open_run(stack):
    """The run in --train_dir, or in --input_model_tgz; a temporary folder for the latter is removed with `stack`."""
    if FLAGS.train_dir:
        return runs.open_run(FLAGS.train_dir)
    folder = FLAGS.untar_model_dir or os.path.join(stack.enter_context(tempfile.TemporaryDirectory()), "model")
    with entry.about("input_model_tgz"):
        return unpack(FLAGS.input_model_tgz, folder)

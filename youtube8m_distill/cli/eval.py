"""Scores a trained network or a cascade on labeled files."""

import json
import os
import pathlib
import tempfile
import time

import pandas as pd

from youtube8m_distill import files, runs, schema
from youtube8m_distill.cli import entry
from youtube8m_distill.cli.cascade_dir import load_cascade
from youtube8m_distill.cli.flags import FLAGS
from youtube8m_distill.cli.starter_flags import check_repeated
from youtube8m_distill.cli.values import exclusions, reading_of, vocabulary
from youtube8m_distill.data.labels import check_labels
from youtube8m_distill.engine.cluster import refuse_cluster
from youtube8m_distill.engine.scalars import ScalarWriter
from youtube8m_distill.engine.strategy import make_strategy
from youtube8m_distill.errors import SettingError
from youtube8m_distill.export.named import write_per_class
from youtube8m_distill.metrics.evaluate import Evaluator
from youtube8m_distill.settings import require

SECONDS_BETWEEN_LOOKS = 30
CLASSES_OF_2017 = 4716
TITLES = {
    "hit_at_one": "Hit@1",
    "perr": "PERR",
    "mean_average_precision": "mAP",
    "full_mean_average_precision": "mAP, all predictions",
    "map_at_k": "MAP@K",
    "map_at_k_all_classes": "MAP@K, all classes",
    "loss": "Loss",
}


def main():
    if runs.is_cascade(FLAGS.train_dir):
        evaluate_cascade()
    else:
        evaluate_run()


def evaluate_cascade():
    """Scores the cascade in --train_dir, once: it has no training to follow."""
    with entry.user_errors():
        refuse_cluster(os.environ)
        folder = output_folder(pathlib.Path(FLAGS.train_dir) / "eval" / "cascade")
        names = vocabulary()
        cascade = load_cascade(make_strategy(FLAGS.num_gpu), top_k=FLAGS.top_k, keep_predictions=FLAGS.full_map)
        shards = find_shards(cascade.configs, cascade.reading)
    evaluate_checkpoint(cascade, shards, folder, names)


def evaluate_run():
    """Scores a network of the run in --train_dir; without --run_once, at each of its checkpoints."""
    with entry.user_errors():
        refuse_cluster(os.environ)
        run = runs.open_run(FLAGS.train_dir)
        role = run.role(FLAGS.network)
        check_repeated(run.config, role, run.folder)
        reading = reading_of(run.config.reading)
        folder = output_folder(run.folder / "eval" / (f"{role}_segments" if reading.segment_labels else role))
        strategy = make_strategy(FLAGS.num_gpu)
        names = vocabulary()
        shards = find_shards([run.config.networks[role]], reading)
        reason = "is over all predictions, and of segments only the rated classes count; leave it out."
        require(not (FLAGS.full_map and reading.segment_labels), "full_map", reason)
    checkpoint = (FLAGS.checkpoint or "best") if FLAGS.run_once else wait_for_checkpoint(run, after=None)
    with entry.user_errors():
        network = runs.LoadedNetwork(
            run,
            strategy,
            role,
            checkpoint,
            FLAGS.mixed_precision,
            reading,
            top_k=FLAGS.top_k,
            keep_predictions=FLAGS.full_map or reading.segment_labels,
        )
    evaluate_checkpoint(network, shards, folder, names)
    while not FLAGS.run_once:
        checkpoint = wait_for_checkpoint(run, after=checkpoint)
        with entry.user_errors():
            try:
                network.restore(checkpoint)
            except FileNotFoundError:  # the training has removed it; there is a newer one
                continue
        evaluate_checkpoint(network, shards, folder, names)


def output_folder(default):
    """The folder in --output_dir or, without one, `default`; SettingError if it cannot be written."""
    folder = pathlib.Path(FLAGS.output_dir or default)
    files.check_output("output_dir", folder, folder=True)
    return folder


def find_shards(configs, reading):
    """The files in --eval_data_pattern, which must have labels."""
    flag, pattern, num_classes = "eval_data_pattern", FLAGS.eval_data_pattern, configs[0].num_classes
    shards = runs.find_shards(flag, pattern, configs[0].features, configs, exclusions(), reading, num_classes)
    if not reading.segment_labels:
        check_labels(flag, pattern, shards, reading.label_key, num_classes)
    return shards


def wait_for_checkpoint(run, after):
    """Waits until the newest step of a run is not `after`; returns it."""
    while True:
        steps = run.checkpoints.steps()
        if steps and steps[-1] != after:
            return steps[-1]
        print(f"Waiting for a new checkpoint in {run.folder}.", flush=True)
        time.sleep(SECONDS_BETWEEN_LOOKS)


def evaluate_checkpoint(tagger, shards, folder, names):
    """Scores a loaded network or cascade, prints the table and writes every file."""
    num_classes, top_k = tagger.configs[0].num_classes, FLAGS.top_k
    with entry.user_errors(), tempfile.TemporaryDirectory() as scratch:
        classes = runs.segment_classes(tagger.reading, num_classes) if tagger.reading.segment_labels else None
        with Evaluator(num_classes, top_k, scratch if FLAGS.full_map else None, classes) as evaluator:
            metrics = tagger.evaluate(shards, FLAGS.batch_size, evaluator)
            per_class = pd.DataFrame(evaluator.per_class())
        if not metrics["num_labels"]:
            reason = f"holds no labels to score against; use `{entry.program('infer')}` on such files."
            raise SettingError("eval_data_pattern", reason, FLAGS.eval_data_pattern)
    record = {
        "format": 1,
        **tagger.about(),
        "eval_data_pattern": FLAGS.eval_data_pattern,
        "videos_per_second": tagger.videos_per_second,
        **metrics,
    }
    try:
        if not runs.is_cascade(FLAGS.train_dir):
            runs.open_run(FLAGS.train_dir)  # or a run that was removed would come back as a folder with nothing but eval/
        files.write_text(folder / "metrics.json", json.dumps(record, indent=2) + "\n")
        write_per_class(folder / "per_class.csv", per_class, names)
        writer = ScalarWriter(folder)
        for name, value in metrics.items():
            writer.write(f"eval/{name}", value, tagger.step)
        writer.close()
    except OSError as error:
        entry.fail(f"--output_dir={folder}: cannot be written to: {error}")
    print(table(record, tagger.name))
    highest = per_class.index[per_class["num_positives"] > 0].max()
    if num_classes == CLASSES_OF_2017 and metrics["num_labels"] and highest < schema.NUM_CLASSES:
        print(
            f"No label is above {schema.NUM_CLASSES - 1}, and the network has {num_classes} classes, those of 2017. Files "
            "of 2018 and later number the classes in another way: train on the same year that you evaluate on."
        )
    for line in (*usage(record, tagger), *tagger.notes.in_words()):
        print(line)
    print(f"Written to {folder}: metrics.json, per_class.csv, TensorBoard logs.", flush=True)


def usage(record, tagger):
    """What the networks of a cascade were used for, in lines; none for a single network."""
    if "stages" not in record:
        return []
    per_video = f"{record['mean_frames']:.1f} frames and {record['mean_multiply_adds'] / 1e6:,.2f} M multiply-adds per video"
    rate = record["videos_per_second"]
    return [
        *tagger.summary([stage["videos"] for stage in record["stages"]]),
        f"Together, the networks read {per_video}{'' if rate is None else f', {rate:,.0f} videos per second'}.",
    ]


def table(record, name):
    """The metrics as aligned lines."""
    examples = "segments" if "num_rated" in record else "videos"
    lines = [f"{name}, {record['num_videos']} {examples}, at most {record['max_frames']} frame(s) of each"]
    for name, value in record.items():
        if name in TITLES or name.startswith("gap_at_"):
            lines.append(f"  {TITLES.get(name, name.replace('gap_at_', 'GAP@')):<22}{value:>12.4f}")
    return "\n".join(lines)

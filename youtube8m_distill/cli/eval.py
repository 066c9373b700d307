"""Scores a trained network: Hit@1, PERR, GAP@20, mAP and loss over labeled record files.

eval.py --train_dir=runs/student --eval_data_pattern='yt8m/validate*.tfrecord' --run_once
"""

import csv
import json
import os
import pathlib
import tempfile
import time

import pandas as pd
from absl import flags

from youtube8m_distill import files, runs
from youtube8m_distill.cli import entry
from youtube8m_distill.cli import flags as our_flags
from youtube8m_distill.engine.cluster import refuse_cluster
from youtube8m_distill.engine.scalars import ScalarWriter
from youtube8m_distill.engine.strategy import make_strategy
from youtube8m_distill.errors import SettingError
from youtube8m_distill.export import spreadsheet_safe
from youtube8m_distill.metrics.evaluate import Evaluator
from youtube8m_distill.runs.evaluation import about_long_videos

FLAGS = flags.FLAGS
SECONDS_BETWEEN_LOOKS = 30
VOCABULARY_COLUMNS = (("Index", "Name"), ("label_id", "label_name"))
TITLES = {
    "hit_at_one": "Hit@1",
    "perr": "PERR",
    "mean_average_precision": "mAP",
    "full_mean_average_precision": "mAP, all predictions",
    "loss": "Loss",
}


def define_flags():
    our_flags.define_files(
        "Data",
        ("eval_data_pattern", "Globs of labeled files, comma-separated."),
        ("vocabulary", "Official vocabulary CSV: class names beside the per-class results."),
    )
    our_flags.define_exclusions()
    our_flags.define_trained_network()
    our_flags.define_top_k()
    flags.DEFINE_boolean("run_once", False, "Score one checkpoint and end. Otherwise every new one as it appears.")
    flags.DEFINE_boolean(
        "full_map",
        False,
        "Also the exact mAP over all predictions, which are kept on disk meanwhile: 4 bytes a video and class.",
    )
    flags.DEFINE_string(
        "output_dir",
        "",
        "Where metrics.json, per_class.csv and TensorBoard logs go. Default: eval/ in --train_dir, by network.",
    )
    our_flags.GROUPS["Output"] += ["run_once", "full_map", "output_dir"]
    our_flags.define_run()
    our_flags.define_refused(segment_labels=our_flags.SEGMENTS, num_readers=our_flags.READERS)


def main():
    with entry.user_errors():
        refuse_cluster(os.environ)
        for name in ("train_dir", "eval_data_pattern"):
            if not FLAGS[name].value:
                raise SettingError(name, "is missing; see --helpshort.")
        run = runs.open_run(FLAGS.train_dir)
        role = run.role(FLAGS.network)
        folder = pathlib.Path(FLAGS.output_dir or run.folder / "eval" / role)
        files.check_output("output_dir", folder, folder=True)
        strategy = make_strategy(FLAGS.num_gpu)
        names = read_vocabulary(FLAGS.vocabulary) if FLAGS.vocabulary else None
        if not FLAGS.run_once and FLAGS.checkpoint not in (None, "last"):
            raise SettingError("checkpoint", "names one checkpoint; add --run_once.", FLAGS.checkpoint)
        network = run.config.networks[role]
        shards = runs.find_shards(
            "eval_data_pattern", FLAGS.eval_data_pattern, network.features, [network.view], our_flags.exclusions()
        )
    checkpoint = FLAGS.checkpoint or "best"
    if not FLAGS.run_once:
        checkpoint = wait_for_checkpoint(run, after=None)
    with entry.user_errors():
        network = runs.LoadedNetwork(
            run, strategy, role, checkpoint, FLAGS.mixed_precision, top_k=FLAGS.top_k, keep_predictions=FLAGS.full_map
        )
    evaluate_checkpoint(network, shards, folder, names)
    while not FLAGS.run_once:
        checkpoint = wait_for_checkpoint(run, after=checkpoint)
        with entry.user_errors():
            try:
                network.restore(checkpoint)
            except FileNotFoundError:  # the training has removed it since; there is a newer one
                continue
        evaluate_checkpoint(network, shards, folder, names)


def wait_for_checkpoint(run, after):
    """The newest step of a run, once it is another than `after`."""
    while True:
        steps = run.checkpoints.steps()
        if steps and steps[-1] != after:
            return steps[-1]
        print(f"Waiting for a new checkpoint in {run.folder}.", flush=True)
        time.sleep(SECONDS_BETWEEN_LOOKS)


def evaluate_checkpoint(network, shards, folder, names):
    """Scores a network as it is loaded, prints the table and writes every file."""
    with entry.user_errors():
        metrics, per_class = score(network, shards)
        if not metrics["num_labels"]:
            raise SettingError(
                "eval_data_pattern",
                "holds no labels, so there is nothing to score against; use inference.py on such files.",
                FLAGS.eval_data_pattern,
            )
    record = {
        "format": 1,
        "network": network.role,
        "checkpoint_step": network.progress.step,
        "epoch": network.progress.epoch,
        "eval_data_pattern": FLAGS.eval_data_pattern,
        "max_frames": network.config.max_frames,
        "multiply_adds": network.network.multiply_adds(network.config.max_frames),
        "videos_per_second": network.videos_per_second,
        **metrics,
    }
    try:
        runs.open_run(FLAGS.train_dir)  # or a folder that has been removed would stand there again, with eval/ alone
        files.write_text(folder / "metrics.json", json.dumps(record, indent=2) + "\n")
        write_per_class(folder / "per_class.csv", per_class, names)
        write_scalars(folder, metrics, network.progress.step)
    except OSError as error:
        entry.fail(f"--output_dir={folder} cannot be written to: {error}")
    print(table(record))
    long_videos = about_long_videos(network.num_long_videos)
    if long_videos:
        print(long_videos)
    print(f"Written to {folder}: metrics.json, per_class.csv, TensorBoard logs.", flush=True)


def score(network, shards):
    """Metrics of a LoadedNetwork over files, and its per-class arrays."""
    with tempfile.TemporaryDirectory() as scratch:
        with Evaluator(network.config.num_classes, FLAGS.top_k, scratch if FLAGS.full_map else None) as evaluator:
            metrics = network.evaluate(shards, FLAGS.batch_size, evaluator)
            return metrics, evaluator.per_class()


def read_vocabulary(path):
    """Class names by index from an official vocabulary CSV, of 2018 and later or of 2017.

    Raises:
        ValueError: if it cannot be read or has neither's columns.
    """
    try:
        vocabulary = pd.read_csv(path, keep_default_na=False, na_values=[""])  # a class may be called NA
    except (OSError, ValueError) as error:  # pandas' and Unicode's errors are ValueErrors of odd signatures
        raise SettingError("vocabulary", f"cannot be read as CSV: {error}", path) from error
    for index, name in VOCABULARY_COLUMNS:
        if {index, name} <= set(vocabulary.columns):
            return vocabulary.set_index(index)[name]
    raise SettingError(
        "vocabulary",
        f"has the columns {', '.join(vocabulary.columns)}; an official vocabulary has "
        f"{' or '.join(' and '.join(pair) for pair in VOCABULARY_COLUMNS)}.",
        path,
    )


def write_per_class(path, per_class, names):
    """One row a class: index, name where known, number of videos with it, average precisions. No name is a formula."""
    rows = pd.DataFrame(per_class)
    rows.insert(0, "class", rows.index)
    if names is not None:
        rows.insert(1, "name", rows["class"].map(names).map(spreadsheet_safe, na_action="ignore"))
    with files.atomic_path(path) as temporary:
        rows.to_csv(temporary, index=False, quoting=csv.QUOTE_NONNUMERIC)


def write_scalars(folder, metrics, step):
    writer = ScalarWriter(folder)
    for name, value in metrics.items():
        writer.write(f"eval/{name}", value, step)
    writer.close()


def table(record):
    """The metrics as aligned lines."""
    shown = {
        TITLES.get(name, name.replace("gap_at_", "GAP@")): f"{value:.4f}"
        for name, value in record.items()
        if name in TITLES or name.startswith("gap_at_")
    }
    lines = [
        f"{record['network']} of step {record['checkpoint_step']}, {record['num_videos']} videos, "
        f"at most {record['max_frames']} frame(s) of each"
    ]
    return "\n".join(lines + [f"  {title:<22}{value:>12}" for title, value in shown.items()])


def run():
    define_flags()
    entry.run(main, __doc__)


if __name__ == "__main__":
    run()

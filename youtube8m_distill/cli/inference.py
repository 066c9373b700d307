"""Tags videos: the Kaggle CSV of a trained network over record files, with or without labels.

    inference.py --train_dir=runs/student --input_data_pattern='yt8m/test*.tfrecord' --output_file=predictions.csv

It may be stopped at any time; the same command goes on. The CSV is there when it is complete.
"""

import contextlib
import os
import tempfile
import time

from absl import flags

from youtube8m_distill import files, runs
from youtube8m_distill.cli import entry
from youtube8m_distill.cli import flags as our_flags
from youtube8m_distill.engine.cluster import refuse_cluster
from youtube8m_distill.engine.strategy import make_strategy
from youtube8m_distill.errors import SettingError
from youtube8m_distill.runs.archive import pack, unpack
from youtube8m_distill.runs.evaluation import about_long_videos

FLAGS = flags.FLAGS


def define_flags():
    our_flags.define_files("Data", ("input_data_pattern", "Globs of the files to read, comma-separated."))
    our_flags.define_exclusions()
    our_flags.define_trained_network()
    flags.DEFINE_string("input_model_tgz", "", "Archive that --output_model_tgz wrote, in place of --train_dir.")
    flags.DEFINE_string("untar_model_dir", "", "Where that archive is unpacked, and stays. Default: a temporary folder.")
    our_flags.GROUPS["Network to use"] += ["input_model_tgz", "untar_model_dir"]
    our_flags.define_top_k()
    flags.DEFINE_string(
        "output_file",
        "",
        "Where the CSV goes; compressed where the name ends with .gz. Until the end, "
        "OUTPUT_FILE.progress beside it holds what is done.",
    )
    flags.DEFINE_string("output_model_tgz", "", "Also write the network's configuration and weights to this archive.")
    our_flags.GROUPS["Output"] += ["output_file", "output_model_tgz"]
    our_flags.define_run()
    our_flags.define_refused(
        num_readers=our_flags.READERS,
        segment_labels=our_flags.SEGMENTS,
        segment_max_pred=our_flags.SEGMENTS,
        segment_label_ids_file=our_flags.SEGMENTS,
    )


def main():
    with contextlib.ExitStack() as stack:
        with entry.user_errors():
            check_flags()
            run = open_run(stack)
            network = runs.LoadedNetwork(
                run,
                make_strategy(FLAGS.num_gpu),
                FLAGS.network,
                checkpoint(),
                FLAGS.mixed_precision,
                top_k=FLAGS.top_k,
                for_metrics=False,
            )
            shards = runs.find_shards(
                "input_data_pattern",
                FLAGS.input_data_pattern,
                network.config.features,
                [network.config.view],
                our_flags.exclusions(),
            )
            keep_apart(shards)
        if FLAGS.output_model_tgz:
            with writing("output_model_tgz"):
                if pack(run, checkpoint(), FLAGS.output_model_tgz) != network.progress:
                    raise ValueError("the training of this network has just saved another checkpoint; start again.")
        predict(network, shards)


def check_flags():
    refuse_cluster(os.environ)
    for name in ("input_data_pattern", "output_file"):
        if not FLAGS[name].value:
            raise SettingError(name, "is missing; see --helpshort.")
    if FLAGS.train_dir and FLAGS.input_model_tgz:
        raise SettingError("input_model_tgz", "takes the place of --train_dir; give one of the two.", FLAGS.input_model_tgz)
    if not FLAGS.train_dir and not FLAGS.input_model_tgz:
        raise SettingError("train_dir", "is missing, and so is --input_model_tgz; see --helpshort.")
    if FLAGS.untar_model_dir and not FLAGS.input_model_tgz:
        raise SettingError("untar_model_dir", "has no effect without --input_model_tgz.", FLAGS.untar_model_dir)
    for name in ("output_file", "output_model_tgz"):
        if FLAGS[name].value:
            files.check_output(name, FLAGS[name].value)


def checkpoint():
    return FLAGS.checkpoint or "best"


def open_run(stack):
    """The run of --train_dir or, until `stack` is closed, that of --input_model_tgz."""
    if FLAGS.train_dir:
        return runs.open_run(FLAGS.train_dir)
    folder = FLAGS.untar_model_dir or os.path.join(stack.enter_context(tempfile.TemporaryDirectory()), "model")
    try:
        return unpack(FLAGS.input_model_tgz, folder)
    except (ValueError, FileNotFoundError) as error:
        if str(error).startswith("untar_model_dir="):
            raise
        raise type(error)(f"input_model_tgz={error}") from error


def keep_apart(shards):
    """Refuses an output that is one of the files to read, which it would replace."""
    read = {os.path.realpath(shard.path) for shard in shards}
    for name in ("output_file", "output_model_tgz"):
        if os.path.realpath(FLAGS[name].value) in read:
            raise ValueError(f"{name}={FLAGS[name].value} is one of the files to read, too; name another.")


def predict(network, shards):
    """Writes the CSV."""
    started = time.monotonic()
    with writing("output_file"):
        predicted = runs.predict_to_csv(FLAGS.output_file, network, shards, FLAGS.batch_size)
    print(
        f"{predicted.num_videos} videos by the {network.role} of step {network.progress.step} in "
        f"{time.monotonic() - started:.1f} s: {FLAGS.output_file}"
    )
    long_videos = about_long_videos(predicted.num_long_videos)
    if long_videos:
        print(long_videos)


@contextlib.contextmanager
def writing(flag):
    """Ends the program with one line where an output was not written: a bad record, a full disk."""
    try:
        yield
    except (ValueError, OSError) as error:
        told = str(error).startswith(f"{flag}=")
        entry.fail(our_flags.flag_of(error) if told else f"--{flag}={FLAGS[flag].value} was not written: {error}")


def run():
    define_flags()
    entry.run(main, __doc__)


if __name__ == "__main__":
    run()

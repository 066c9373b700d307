"""Tags videos: the Kaggle CSV of a trained network over record files, with or without labels.

    inference.py --train_dir=runs/student --input_data_pattern='yt8m/test*.tfrecord' --output_file=predictions.csv
"""

import os
import time

from absl import flags

from youtube8m_distill import files, runs
from youtube8m_distill.cli import entry
from youtube8m_distill.cli import flags as our_flags
from youtube8m_distill.export.kaggle import write_predictions
from youtube8m_distill.training.cluster import refuse_cluster
from youtube8m_distill.training.strategy import make_strategy

FLAGS = flags.FLAGS


def define_flags():
    our_flags.define_files("Data", ("input_data_pattern", "Globs of the files to read, comma-separated."))
    our_flags.define_trained_network()
    our_flags.define_top_k()
    flags.DEFINE_string("output_file", "", "Where the CSV goes; compressed where the name ends with .gz.")
    our_flags.GROUPS["Output"].append("output_file")
    our_flags.define_run()
    our_flags.define_refused(
        num_readers=our_flags.READERS, segment_labels=our_flags.SEGMENTS, segment_max_pred=our_flags.SEGMENTS,
        segment_label_ids_file=our_flags.SEGMENTS, input_model_tgz=our_flags.ARCHIVES,
        untar_model_dir=our_flags.ARCHIVES, output_model_tgz=our_flags.ARCHIVES)


def main():
    with entry.user_errors():
        refuse_cluster(os.environ)
        for name in ("train_dir", "input_data_pattern", "output_file"):
            if not FLAGS[name].value:
                raise ValueError(f"{name} is missing; see --helpshort.")
        files.check_output("output_file", FLAGS.output_file)
        strategy = make_strategy(FLAGS.num_gpu)
        network = runs.LoadedNetwork(runs.open_run(FLAGS.train_dir), strategy, FLAGS.network,
                                     FLAGS.checkpoint or "best", FLAGS.mixed_precision, top_k=FLAGS.top_k,
                                     for_metrics=False)
        shards = runs.find_shards("input_data_pattern", FLAGS.input_data_pattern, network.config.features,
                                  network.config.views)
    started = time.monotonic()
    rows = ((batch.video_ids, batch.classes, batch.scores) for batch in network.predict(shards, FLAGS.batch_size))
    try:
        count = write_predictions(FLAGS.output_file, rows)
    except (ValueError, OSError) as error:      # a bad record, predictions that are not numbers, a full disk
        entry.fail(f"--output_file={FLAGS.output_file} was not written: {error}")
    print(f"{count} videos by the {network.role} of step {network.progress.step} in {time.monotonic() - started:.1f} s: "
          f"{FLAGS.output_file}")


def run():
    define_flags()
    entry.run(main, __doc__)


if __name__ == "__main__":
    run()

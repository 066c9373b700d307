"""Exports a trained network to another runtime."""

import os

from youtube8m_distill import runs
from youtube8m_distill.cli import entry
from youtube8m_distill.cli.flags import FLAGS
from youtube8m_distill.cli.values import exclusions, reading_of, settings_given, vocabulary, warn_of_unnamed
from youtube8m_distill.config.export import ExportConfig
from youtube8m_distill.engine.cluster import refuse_cluster

PATTERNS = ("verify_data_pattern", "calibration_data_pattern")


def main():
    with entry.user_errors():
        refuse_cluster(os.environ)
        run = runs.open_run(FLAGS.train_dir)
        network = run.config.networks[run.role(FLAGS.network)]
        reading = reading_of(run.config.reading, segment_labels=False, segment_label_ids_file="")
        patterns = {name: str(FLAGS[name].value) for name in PATTERNS if FLAGS[name].value}
        readers = dict.fromkeys(patterns, [network])
        found = runs.RecordFiles(exclusions(), reading).find(patterns, network.features, readers, network.num_classes)
        verify, calibration = (found.get(name, ()) for name in PATTERNS)
        names = vocabulary(run.folder)
        warn_of_unnamed(names, network.num_classes)
        runs.export_network(
            run,
            FLAGS.output_dir,
            settings_given(ExportConfig),
            FLAGS.network,
            FLAGS.checkpoint,
            verify,
            calibration,
            reading,
            FLAGS.verify_videos,
            names,
        )
    print(f"Written to {FLAGS.output_dir}, with export.json.")

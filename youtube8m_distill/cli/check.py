"""Reads every record of some files and reports those that cannot be used."""

import sys

from youtube8m_distill import config
from youtube8m_distill.cli import entry
from youtube8m_distill.cli.flags import FLAGS, settings_given
from youtube8m_distill.data import check, contents
from youtube8m_distill.data.exclusions import write_exclusions

SHOWN = 10  # faults that are printed; the list holds all of them
SOMETHING_IS_WRONG = 1  # exit code


def main():
    with entry.user_errors():
        with entry.about("input_data_pattern"):
            shards = check.find_for_check(FLAGS.input_data_pattern)
            reading = settings_given(config.Reading)
            report = check.check_records(shards, features(shards, reading), FLAGS.num_classes, reading)
        if FLAGS.output_file:
            with entry.about("output_file"):
                write_exclusions(FLAGS.output_file, report)
    for fault in report.faults[:SHOWN]:
        print(fault)
    if len(report.faults) > SHOWN:
        print(f"... and {len(report.faults) - SHOWN:,} more.")
    print(report.summary())
    if report.faults and FLAGS.output_file:
        print(f"Skip them with --exclude_records={FLAGS.output_file} in train, eval, infer and compact.")
    elif report.faults:
        print("Add --output_file=bad_records.csv to write a list of them for --exclude_records.")
    if report.faults:
        sys.exit(SOMETHING_IS_WRONG)


def features(shards, reading):
    """FeatureConfig of --feature_names in the first readable file; None for all features that it has."""
    first = next((shard for shard in shards if not shard.problem), None)
    if FLAGS.feature_names is None or first is None:
        return None
    return contents.named_features(first, [name.strip() for name in FLAGS.feature_names], reading)

"""Reads every record of some files and reports those that cannot be used."""

import sys
from typing import NamedTuple

from youtube8m_distill import config, runs, schema
from youtube8m_distill.cli import entry
from youtube8m_distill.cli.flags import FLAGS, READING
from youtube8m_distill.cli.values import feature_sizes, given
from youtube8m_distill.data import check, contents, stored_features
from youtube8m_distill.data.compact import check_networks
from youtube8m_distill.data.exclusions import write_exclusions
from youtube8m_distill.data.labels import check_labels
from youtube8m_distill.data.segments import NO_RATINGS

SHOWN = 10  # faults that are printed; the list holds all of them
SOMETHING_IS_WRONG = 1  # exit code


def main():
    with entry.user_errors():
        with entry.about("input_data_pattern"):
            shards = check.find_for_check(FLAGS.input_data_pattern)
            reading = config.Reading(**given(*READING))
            wanted = features(shards, reading)
            about_labels = look_at_segments(shards, reading) if reading.segment_labels else look_at_labels(shards, reading)
            report = check.check_records(shards, wanted, FLAGS.num_classes, reading, about_labels.rated_classes)
        if FLAGS.output_file:
            with entry.about("output_file"):
                write_exclusions(FLAGS.output_file, report)
    for fault in report.faults[:SHOWN]:
        print(fault)
    if len(report.faults) > SHOWN:
        print(f"... and {len(report.faults) - SHOWN:,} more.")
    print("\n".join(describe(report, about_labels)))
    print(report.summary())
    if report.faults and FLAGS.output_file:
        print(f"Skip them with --exclude_records={FLAGS.output_file} in train, eval, infer, beam and compact.")
    elif report.faults:
        print("Add --output_file=bad_records.csv to write a list of them for --exclude_records.")
    if report.faults:
        sys.exit(SOMETHING_IS_WRONG)


def features(shards, reading):
    """FeatureConfig of --feature_names and --feature_sizes in the first readable file; None for all features that it has."""
    first = next((shard for shard in shards if not shard.problem), None)
    if first is None or FLAGS.feature_names is None and FLAGS.feature_sizes is None:
        return None
    names = FLAGS.feature_names
    if names is None:
        of_frames = contents.all_features(first, reading).frame_features
        names = schema.FRAME_FEATURES if of_frames else schema.VIDEO_FEATURES
    found = contents.named_features(first, [name.strip() for name in names], reading)
    return found if FLAGS.feature_sizes is None else found.replace(sizes=feature_sizes())


class AboutLabels(NamedTuple):
    """Which labels are checked."""

    name: str
    without: str  # what to say of records without any, after "None of these records"
    rated_classes: tuple[int, ...] = ()  # that may be rated, if the labels are ratings of segments


def look_at_labels(shards, reading):
    """The labels of whole videos, which are required if --label_key is given. Multi-hot rows are refused."""
    readable = [shard for shard in shards if not shard.problem] or shards
    is_required, pattern = FLAGS["label_key"].present, FLAGS.input_data_pattern
    found = check_labels("input_data_pattern", pattern, readable, reading.label_key, FLAGS.num_classes, bool(is_required))
    return AboutLabels(f"labels under {found.key!r}", found.without_labels())


def look_at_segments(shards, reading):
    """The ratings of segments. Compact files, which hold no whole segments, are refused."""
    check_networks(shards, (), of_segments=True)
    return AboutLabels("ratings of segments", NO_RATINGS, runs.segment_classes(reading, FLAGS.num_classes))


def describe(report, about_labels):
    """What was checked, and what differs from the official files, one line each."""
    unit = "bytes" if report.features.dtype == "uint8" else "floats"
    sizes = dict(zip(report.features.names, report.features.sizes))
    listed = ", ".join(f"{name} ({size} {unit})" for name, size in sizes.items())
    labeled = f"{report.num_labeled:,} of {report.num_valid:,} valid records"
    lines = [f"Checked: {listed}, {about_labels.name} in {labeled}."]
    if report.unchecked:
        others = ", ".join(report.unchecked)
        lines.append(f"Also in some records, and not checked: {others}; name features with --feature_names.")
    official = schema.FRAME_FEATURES if report.features.frame_features else schema.VIDEO_FEATURES
    packed = [name for name in official if unit == "bytes" and sizes.get(name) == 4 * schema.FEATURE_SIZES[name]]
    for name in packed:
        size = schema.FEATURE_SIZES[name]
        lines.append(f"{name} holds {4 * size} bytes instead of {size}. {stored_features.float32_advice(size)}")
    is_official = all(sizes.get(name) == schema.FEATURE_SIZES[name] for name in official)
    if not is_official and not packed and FLAGS.feature_sizes is None:
        names = tuple(name for name in official if name in sizes) or report.features.names
        wanted = report.features.replace(names=names, sizes=tuple(sizes[name] for name in names))
        lines.append(f"`yt8m train` reads these features with {stored_features.feature_flags(wanted)}.")
    if report.num_valid and not report.num_labeled:
        lines.append(f"None of these records {about_labels.without}")
    return lines

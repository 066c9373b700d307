"""Flags and help of the commands for reading and writing records."""

import pathlib

from youtube8m_distill import schema
from youtube8m_distill.cli import flags as our_flags
from youtube8m_distill.cli.flags import Flag, define, fields
from youtube8m_distill.config.features import FeaturesConfig, PackConfig
from youtube8m_distill.config.synthetic import SyntheticConfig


def synthesize():
    """Write a synthetic data set in the official format, to try everything without a download.

        yt8m synthesize --output_dir=yt8m_sample

    This writes 3,700 videos of 100 classes, about 1 GB. With --from_video_level='yt8m/2/video/validate*.tfrecord', frames
    are synthesized around the means of real videos, which keep their ids and labels.
    """
    folder = Flag("Folder to write: new, empty, or from the same command.", pathlib.Path)
    define("Data set to write", output_dir=folder, **fields(SyntheticConfig))


def check():
    """Read every record of some files and report those that cannot be used.

        yt8m check --input_data_pattern='yt8m/*.tfrecord' --output_file=bad_records.csv

    It also prints which features and labels were checked, and which flags training needs to read them. The list names file,
    record and reason; training, evaluation, prediction and `yt8m compact` skip the records in it with
    --exclude_records=bad_records.csv. The exit code is 0 if every record can be used, 1 if any cannot.

    With --segment_labels, it reports records whose rated segments cannot be used: invalid ratings, and frames in segments.
    """
    classes = "Classes of the data set; larger labels are bad. Give 4716 for files of 2017."
    define(
        "Data",
        input_data_pattern=Flag("Globs of the files to check, comma-separated."),
        num_classes=Flag(classes, int, schema.NUM_CLASSES, at_least=1),
        feature_names=Flag("Features that every record must have. Default: those of the first record.", tuple),
        feature_sizes=Flag("Sizes that these features must have. Default: those in the first record.", tuple),
        **our_flags.READING,
    )
    define("Output", output_file=Flag("CSV to write, for --exclude_records. Default: none.", pathlib.Path))


def compact():
    """Write frame-level files that hold only the frames a student sees.

    They have the same names and the same format as the originals, and a fraction of their size:

        yt8m compact --input_data_pattern='yt8m/train*.tfrecord' --output_dir=yt8m_10 \\
            --frame_selection=uniform --frames_per_video=10

    Train, evaluate and predict on them with the same two flags; networks that see other frames refuse these files. If the
    command is interrupted, the same command resumes.

    With --frame_selection=random, the files hold the frames that a network trained with --seed sees when it is evaluated,
    and training on them sees the same frames in every epoch.
    """
    define(
        "Data",
        input_data_pattern=Flag("Globs of frame-level files, comma-separated."),
        output_dir=Flag("Folder to write: new, empty, or partly written by the same command.", pathlib.Path),
        **our_flags.EXCLUDE_RECORDS,
    )
    our_flags.define_frames("Frames to keep", "uniform; strided if --every_n is given")
    define("Frames to keep", seed=Flag("Seed of --frame_selection=random.", int, 0, at_least=0))


LABELS = "CSV with the columns file, labels, and perhaps id. Labels are class numbers with ; between them. Default: none."


def features():
    """Extract features from videos, one frame a second, and write them as records.

        yt8m features clips/*.mp4 --labels=labels.csv --extractor=keras:MobileNetV2 --output_file=clips.tfrecord
        yt8m features clips/*.mp4 --labels=labels.csv --extractor_dir=extractor --output_file=clips.tfrecord

    The first command reads frames with a network of Keras Applications. The second computes the features of YouTube-8M,
    with sound; the manual lists the files to download for it. A video that cannot be used is reported, and the others are
    written; the exit code is then 1. The video id is the name of the file unless the CSV gives another.

    Videos are decoded by PyAV, the extra `features`: pip install '.[features]' in a checkout.
    """
    define("Data", labels=Flag(LABELS, pathlib.Path), **our_flags.VOCABULARY)
    define("Extractors", **fields(FeaturesConfig))
    define("Output", output_file=Flag("The TFRecord file to write.", pathlib.Path))


def pack():
    """Write arrays of features as records.

        yt8m pack arrays/*.npy --labels=labels.csv --output_dir=own

    A file holds the features of a video: one array [frames, size] (.npy), several by name (.npz), or what MediaPipe's
    YouTube-8M extractor writes (.pb). The video id is the name of the file unless the CSV gives another.
    """
    define("Data", labels=Flag(LABELS, pathlib.Path), **our_flags.VOCABULARY)
    define(
        "Output", output_dir=Flag("Folder to write train*.tfrecord to: new or empty.", pathlib.Path), **fields(PackConfig)
    )

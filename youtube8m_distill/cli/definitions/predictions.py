"""Flags and help of the commands for predicting and scoring."""

import pathlib

from youtube8m_distill import config as configs
from youtube8m_distill import schema
from youtube8m_distill.cli import flags as our_flags
from youtube8m_distill.cli import starter_flags
from youtube8m_distill.cli.flags import Flag, define, fields


def evaluate():
    """Score a trained network on labeled files: GAP, mAP, Hit@1, PERR and loss.

        yt8m eval --train_dir=runs/student --eval_data_pattern='yt8m/validate*.tfrecord' --run_once

    Without --run_once, every new checkpoint is scored as it appears, until the command is interrupted.
    """
    define(
        "Data",
        eval_data_pattern=Flag("Globs of labeled files, comma-separated."),
        **our_flags.VOCABULARY,
        **our_flags.EXCLUDE_RECORDS,
        **our_flags.READING,
    )
    define("Network to use", **our_flags.TRAINED_NETWORK)
    define(
        "Output",
        **our_flags.TOP_K,
        run_once=Flag("Score one checkpoint and exit. Otherwise score every new one as it appears.", bool, False),
        full_map=Flag("Also compute the exact mAP over all predictions: 4 bytes of disk per video and class.", bool, False),
        output_dir=Flag(
            "For metrics.json, per_class.csv and TensorBoard logs. Default: eval/ROLE in --train_dir.", pathlib.Path
        ),
    )
    our_flags.define_devices()
    starter_flags.define_refused(num_readers=starter_flags.READERS, **starter_flags.SAMPLED_FRAMES)
    starter_flags.define_repeated()


def infer():
    """Predict the classes of videos with a trained network, as a Kaggle CSV.

        yt8m infer --train_dir=runs/student --input_data_pattern='yt8m/test*.tfrecord' --output_file=predictions.csv

    The files may have labels or not. With --vocabulary, predictions.names.csv has a row for each video and class, with
    the name. The CSV appears when it is complete. Until then, the folder OUTPUT_FILE.progress beside it holds the
    predictions so far; if the command is interrupted, the same command resumes.

    With --segment_labels, videos are cut into segments of 5 frames, and the best segments of each class are written. A
    network that was trained on whole videos can name the candidate classes of each video (--candidate_dir).
    """
    define(
        "Data",
        input_data_pattern=Flag("Globs of the files to read, comma-separated."),
        **our_flags.EXCLUDE_RECORDS,
        **fields(configs.Reading, "pad_missing_features", "feature_dtype"),
    )
    define(
        "Network to use",
        **our_flags.TRAINED_NETWORK,
        input_model_tgz=Flag("Archive to read instead of --train_dir; --output_model_tgz writes one.", pathlib.Path),
        untar_model_dir=Flag("Folder to unpack that archive to and keep. Default: a temporary folder.", pathlib.Path),
    )
    define(
        "Output",
        **our_flags.TOP_K,
        output_file=Flag("The CSV to write, compressed if its name ends with .gz.", pathlib.Path),
        **our_flags.VOCABULARY,
        output_model_tgz=Flag("Also write the network's configuration and weights to this archive.", pathlib.Path),
    )
    define(
        "Segments",
        segment_labels=Flag("Write the best segments of each class instead: Class,Segments.", bool, False),
        candidate_dir=Flag(
            "Training directory of a network that names the candidate classes of each video. Default: none; the candidates "
            "are the best classes of each segment.",
            pathlib.Path,
        ),
        segment_max_pred=Flag("Segments of each class to write.", int, schema.TOP_N, at_least=1),
        segment_frames=Flag("Frames of a segment.", int, 5, at_least=1),
        value_exponents=Flag(
            "a,b: the value of a segment is P_vid^a * P_seg^b (with --candidate_dir).", tuple, ["0.05", "0.95"]
        ),
        **fields(configs.Reading, "segment_label_ids_file"),
    )
    our_flags.define_devices()
    starter_flags.define_refused(num_readers=starter_flags.READERS, **starter_flags.SAMPLED_FRAMES)
    starter_flags.define_repeated()


def predict():
    """Print the best classes of the videos in a few files.

        yt8m predict --train_dir=runs/student --vocabulary=vocabulary.csv video.pb more.tfrecord

    Files are TFRecord files, or single SequenceExamples as MediaPipe writes them. For many files, use yt8m infer.

    --train_dir may also be a cascade, an archive of yt8m package or its http(s) address, or the folder of a SavedModel or a
    LiteRT file from yt8m export. A LiteRT file is run without TensorFlow, so it answers in less than a second.
    """
    define("Data", **fields(configs.Reading, "pad_missing_features", "feature_dtype"), **our_flags.VOCABULARY)
    define("Network to use", **our_flags.TRAINED_NETWORK)
    define("Output", top_k=Flag("Number of best classes to print for each video.", int, 5, at_least=1))
    our_flags.define_devices()
    starter_flags.define_repeated()


def beam():
    """Predict the classes of videos with Apache Beam, on this machine or a cluster, as Kaggle CSVs.

        yt8m beam --train_dir=runs/student --input_data_pattern='yt8m/test*.tfrecord' --output_dir=predictions \\
            --runner=DirectRunner -- --direct_num_workers=2 --direct_running_mode=multi_processing

    What follows `--` are options of Beam. The folder then holds predictions-00000-of-00010.csv and so on, together the rows
    of yt8m infer, in its order. Records that cannot be used are left out and listed in bad_records-*.jsonl. If the command
    is interrupted, the same command computes the files that are missing.

    In a checkout: pip install --constraint constraints-beam.txt '.[beam]'.
    """
    define(
        "Data",
        input_data_pattern=Flag("Globs of the files to read, comma-separated, as every worker can open them."),
        **our_flags.EXCLUDE_RECORDS,
        **fields(configs.Reading, "pad_missing_features", "feature_dtype"),
    )
    define("Network to use", **our_flags.TRAINED_NETWORK)
    define(
        "Output",
        **our_flags.TOP_K,
        output_dir=Flag(
            "Folder to write, local or on a file system of Beam (gs://bucket/folder): new, empty, or from the same command.",
            pathlib.Path,
        ),
        num_shards=Flag(
            "Number of CSV files. Default: one per input file, but at most 16, or one per 2 GiB if that is more.",
            int,
            at_least=1,
        ),
    )
    runner = "Where it runs: DirectRunner is this machine; PortableRunner is the job server of a Flink or Spark cluster."
    runners = ("DirectRunner", "FlinkRunner", "DataflowRunner", "PortableRunner")
    define("Apache Beam", runner=Flag(runner, runners, "DirectRunner"))
    starter_flags.define_repeated()


def cascade():
    """Build a cascade of trained networks, in which a video goes on to the next network only if the one before is not sure.

        yt8m cascade --train_dirs=runs/student_6,runs/student_30,runs/teacher \\
            --validation_data_pattern='yt8m/validate0*.tfrecord' --output_dir=cascade

    yt8m eval, infer, predict, and beam take the folder as --train_dir. They decode the frames of the first network for all
    videos, and those of later networks only for the videos that reach them. The probabilities of the networks are
    calibrated, so that GAP can rank them together. A cascade that is in --output_dir is replaced.
    """
    define(
        "Data",
        validation_data_pattern=Flag("Globs of labeled files that no network was trained on, comma-separated."),
        **our_flags.EXCLUDE_RECORDS,
        **fields(configs.Reading, "label_key", "pad_missing_features", "feature_dtype"),
    )
    define(
        "Networks",
        train_dirs=Flag("Two or more training directories, the cheapest network first. Their best weights are used.", tuple),
        batch_size=our_flags.TRAINED_NETWORK["batch_size"],
    )
    define("Thresholds", **fields(configs.CascadeOptions))
    define("Output", output_dir=Flag("The cascade's folder: new, empty, or an older cascade.", pathlib.Path))
    our_flags.define_devices()


def ensemble():
    """Average the prediction CSVs of several networks.

        yt8m ensemble a.csv b.csv --weights=0.7,0.3 --output_file=average.csv

    The files are those of yt8m infer for the same videos. A class that a file does not list counts as 0 there, so predict
    with a larger --top_k than that of the average.
    """
    define("Average", weights=Flag("Weight of each file; they are divided by their sum. Default: equal weights.", tuple))
    define(
        "Output",
        **our_flags.TOP_K,
        output_file=Flag("The CSV to write, compressed if its name ends with .gz.", pathlib.Path),
    )


def segment_eval():
    """Score a CSV of ranked segments against rated segments: MAP@K of the segment challenge.

        yt8m segment-eval --predictions=segments.csv --labels='yt8m/segments/validate*.tfrecord'

    The CSV has one row `class,video_id:start video_id:start ...` for each class, best segment first. Segments without a
    rating for the class are ignored.
    """
    define(
        "Data",
        predictions=Flag("The CSV of ranked segments, compressed if its name ends with .gz.", pathlib.Path),
        labels=Flag("Globs of files with rated segments, comma-separated."),
        segment_label_ids_file=Flag(
            "The classes to score, one number per line. Default: the 1,000 classes of the challenge.", pathlib.Path
        ),
        **our_flags.VOCABULARY,
        **our_flags.EXCLUDE_RECORDS,
    )
    define(
        "Output",
        top_n=Flag("Segments of each class that count: K of MAP@K.", int, schema.TOP_N, at_least=1),
        output_dir=Flag("Folder for metrics.json and per_class.csv. Default: none.", pathlib.Path),
    )

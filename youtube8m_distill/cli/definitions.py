"""What --helpshort shows of every command: a function that defines its flags, and whose docstring describes it."""

import pathlib

from youtube8m_distill import config as configs
from youtube8m_distill import schema
from youtube8m_distill.cli import flags as our_flags
from youtube8m_distill.cli import starter_flags
from youtube8m_distill.cli.flags import Flag, define, fields
from youtube8m_distill.config.export import ExportConfig
from youtube8m_distill.config.features import FeaturesConfig, PackConfig
from youtube8m_distill.config.synthetic import SyntheticConfig


def train():
    """Train a teacher, a baseline, or a student that learns from a teacher.

    A teacher that sees all frames, then a student that learns from it and sees 30:

        yt8m train --train_data_pattern='yt8m/train*.tfrecord' --train_dir=runs/teacher
        yt8m train --train_data_pattern='yt8m/train*.tfrecord' --train_dir=runs/student \\
            --mode=serial --teacher_dir=runs/teacher --frames_per_video=30

    With --validation_data_pattern='yt8m/validate0*.tfrecord', the best epoch is kept as well as the last. A run that was
    interrupted is resumed by the same command.
    """
    files_to_read = fields(configs.RunConfig, "train_data_pattern", "validation_data_pattern", "exclude_records")
    define("Data", **files_to_read, **our_flags.READING)
    folder = "Folder for checkpoints, config.json and logs. A run that is there is resumed."
    replace = "Replace the run in --train_dir. A folder that holds anything else is never touched."
    define("Folder", train_dir=Flag(folder, pathlib.Path, "/tmp/yt8m_model/"), start_new_model=Flag(replace, bool, False))
    define("Recipe", **fields(configs.RunConfig, "recipe"))
    our_flags.define_distillation()
    our_flags.define_frames(
        "Frames that the network sees; with --mode=serial or parallel, the student",
        "all with --mode=teacher, otherwise uniform; uniform if --frames_per_video is given, strided if --every_n is",
    )
    our_flags.define_network()
    our_flags.define_training()
    our_flags.define_devices()
    place = "Spread the members of a mixture over the GPUs; each sees the whole batch. Default: each GPU has all of them."
    define("Devices", place_members=Flag(place, bool, False))
    starter_flags.define_refused(
        export_model_steps="use --checkpoint_steps; evaluation and prediction need nothing but a checkpoint",
        **starter_flags.SAMPLED_FRAMES,
        vlagd="this variant of NetVLAD is not in this version",
        moe_low_rank_gating="low-rank gates are not in this version",
        pretrain_model_path="use --init_from, with the training directory of the network to start from",
        final_temperature="use --cl_temperature, which holds for both levels of a mixture",
        final_lambda="use --cl_temperature; its square is the weight",
        cl_lambda="use --cl_temperature; its square is the weight",
        gpu="use CUDA_VISIBLE_DEVICES to choose devices and --num_gpu for their number",
        bagging="resampling the file list is not in this version",
    )


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


def synthesize():
    """Write a synthetic data set in the official format, to try everything without a download.

        yt8m synthesize --output_dir=yt8m_sample

    This writes 3,700 videos of 100 classes, about 1 GB. With --from_video_level='yt8m/2/video/validate*.tfrecord', frames
    are synthesized around the means of real videos, which keep their ids and labels.
    """
    folder = Flag("Folder to write: new, empty, or from the same command.", pathlib.Path)
    define("Data set to write", output_dir=folder, **fields(SyntheticConfig))


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


def extract():
    """Take one network out of a trained mixture, as a training directory of its own.

        yt8m extract --train_dir=runs/mixture --submodel=0 --output_dir=runs/nextvlad_distill

    Networks are counted from 0: --submodel=2 is member 2. In a MODNeXtVladModel, that is a mixture of three, and 2.0 is the
    first network in it. Evaluation, prediction, --teacher_dir and --init_from take the result like any other training
    directory.
    """
    define(
        "Mixture",
        train_dir=Flag("Training directory of the mixture.", pathlib.Path),
        submodel=Flag("Which of its networks, such as 2 or 2.0."),
        **our_flags.NETWORK,
        checkpoint=Flag("best, last, or a step.", str, "best"),
    )
    define("Output", output_dir=Flag("The new training directory.", pathlib.Path))


def export():
    """Write a trained network for another runtime, and check that its predictions stay the same.

        yt8m export --train_dir=runs/student --output_dir=student_saved_model
        yt8m export --train_dir=runs/student --format=litert --quantization=dynamic_int8 --output_dir=student_litert

    The result is loaded in its runtime and compared with the network on the videos of --verify_data_pattern and on copies
    of them of 1 to more than all frames. OUTPUT_DIR appears only if no prediction is off by more than --tolerance. It holds
    the network and export.json, with its inputs and what the comparison found, and with --vocabulary the names of its
    classes.

    litert, onnx, and openvino need the packages of the extra `export`: pip install '.[export]' in a checkout.
    """
    define(
        "Network to use",
        train_dir=our_flags.TRAINED_NETWORK["train_dir"],
        **our_flags.NETWORK,
        checkpoint=Flag("best, last, or a step.", str, "best"),
    )
    define(
        "Output",
        output_dir=Flag("Folder to write: new or empty.", pathlib.Path),
        **fields(ExportConfig),
        **our_flags.VOCABULARY,
    )
    define(
        "Data",
        verify_data_pattern=Flag("Globs of files to compare predictions on, labeled or not. Default: random videos."),
        verify_videos=Flag("Number of their videos to read at most.", int, 256, at_least=1),
        calibration_data_pattern=Flag("Globs of files for --quantization=full_int8, which reads 200 of their videos."),
        **our_flags.EXCLUDE_RECORDS,
        **fields(configs.Reading, "pad_missing_features", "feature_dtype"),
    )


def package():
    """Write a trained network as a folder or an archive to share, with a model card.

        yt8m package --train_dir=runs/student --output_dir=student --vocabulary=vocabulary.csv --license=apache-2.0
        yt8m package --train_dir=runs/student --output_model_tgz=student.tgz

    It holds config.json, the weights of one checkpoint, the names of the classes, and README.md, which states data, frames,
    scores, cost, and the training command. The folder is a training directory that other commands take; yt8m predict also
    takes the archive, or its http(s) address.
    """
    define(
        "Network to use",
        train_dir=our_flags.TRAINED_NETWORK["train_dir"],
        checkpoint=Flag("best, last, or a step.", str, "best"),
    )
    define(
        "Output",
        output_dir=Flag("Folder to write: new or empty.", pathlib.Path),
        output_model_tgz=Flag("Archive to write instead.", pathlib.Path),
        **our_flags.VOCABULARY,
    )
    define(
        "Model card",
        license=Flag("Identifier of the license, such as apache-2.0, as Hugging Face lists them. Default: none is named."),
        data_name=Flag("Name of the training data, such as 'YouTube-8M 2018, frame level'. Default: only the files."),
        metrics_files=Flag(
            "metrics.json files of yt8m eval about this checkpoint. Default: the one in --train_dir, if it is.", tuple
        ),
    )


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


def cascade():
    """Build a cascade of trained networks, in which a video goes on to the next network only if the one before is not sure.

        yt8m cascade --train_dirs=runs/student_6,runs/student_30,runs/teacher \\
            --validation_data_pattern='yt8m/validate0*.tfrecord' --output_dir=cascade

    yt8m eval, infer, and predict take the folder as --train_dir. They decode the frames of the first network for all
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


def demo():
    """Run every step on a small synthetic data set: teacher, baseline, two students, scores, predictions.

        yt8m demo --output_dir=demo

    Each step is one of the commands that real data take, and is printed before it runs. Networks, data set and batches are
    small: it takes 9 to 19 minutes on two cores. Nothing else differs.
    """
    define(
        "Demo",
        output_dir=Flag("Folder for the data set, the runs and predictions.csv.", pathlib.Path, "demo"),
        seeds=Flag("Train everything with this many seeds and print means and standard deviations.", int, 1, at_least=1),
    )

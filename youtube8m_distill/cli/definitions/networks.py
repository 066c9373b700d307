"""Flags and help of the commands for passing trained networks on."""

import pathlib

from youtube8m_distill import config as configs
from youtube8m_distill.cli import flags as our_flags
from youtube8m_distill.cli.flags import Flag, define, fields
from youtube8m_distill.config.export import ExportConfig


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
        **our_flags.CHECKPOINT,
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
    define("Network to use", train_dir=our_flags.TRAINED_NETWORK["train_dir"], **our_flags.NETWORK, **our_flags.CHECKPOINT)
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
    define("Network to use", train_dir=our_flags.TRAINED_NETWORK["train_dir"], **our_flags.CHECKPOINT)
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

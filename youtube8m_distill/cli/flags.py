"""Command-line flags by group, and the way from flags to configurations.

Names, types and meanings are the starter code's and the authors' where they still have one. A flag that is not given
takes the model's published recipe, or in serial training the teacher's value.
"""

import re
import sys

from absl import flags

from youtube8m_distill import config as configs
from youtube8m_distill import schema

FLAGS = flags.FLAGS
GROUPS = {}         # title -> names, in the order in which --helpshort prints them


def _group(title, *definitions):
    """Defines flags and notes them under a title. A definition: (define, name, default, help, *more)."""
    GROUPS[title] = []
    for define, name, *arguments in definitions:
        define(name, *arguments)
        GROUPS[title].append(name)


def define_files(title, *patterns):
    _group(title, *[(flags.DEFINE_string, name, "", text) for name, text in patterns])


def define_readers():
    flags.DEFINE_integer("num_readers", 8, "Record files read at a time.", 1)
    GROUPS["Data"].append("num_readers")


def define_skipping():
    """--skip_bad_records and --max_bad_fraction, beside the flags that name files."""
    flags.DEFINE_boolean("skip_bad_records", False, "Read all records once before the start and leave out those that cannot "
                         "be used; bad_records.csv lists them. Otherwise the first that is met ends the run.")
    flags.DEFINE_float("max_bad_fraction", 0.01, "Greatest share of the records to leave out.", 0, 1)
    GROUPS["Data"] += ["skip_bad_records", "max_bad_fraction"]


def skipping():
    """These two as arguments of `runs.usable_shards`.

    Raises:
        ValueError: if the second is given without the first.
    """
    if FLAGS["max_bad_fraction"].present and not FLAGS.skip_bad_records:
        raise ValueError("max_bad_fraction has an effect only with --skip_bad_records; add that, or leave it out.")
    return {"skip": FLAGS.skip_bad_records, "max_bad_fraction": FLAGS.max_bad_fraction}


def define_run():
    _group("Devices",
           (flags.DEFINE_integer, "num_gpu", None, "GPUs to use; all there are if not given, the CPU if there is none."),
           (flags.DEFINE_boolean, "log_device_placement", False, "Print the device of every operation."))


def define_network():
    _group("Network",
           (flags.DEFINE_enum, "model", "HierarchicalLstmModel", configs.MODELS, "Network family."),
           (flags.DEFINE_enum, "video_level_classifier_model", None, configs.CLASSIFIERS,
            "Classifier on top of a frame-level encoder. Recipe: LogisticModel for NeXtVLADModel, its mixtures and "
            "FrameLevelLogisticModel, else MoeModel."),
           (flags.DEFINE_integer, "num_classes", None, "Classes of the data set: 3862 in 2018 and later (recipe), 4716 "
            "in 2017."),
           (flags.DEFINE_list, "feature_names", None, "Features to read, comma-separated. Recipe: rgb,audio; for "
            "video-level models mean_rgb,mean_audio."),
           (flags.DEFINE_list, "feature_sizes", None, "Their sizes. Recipe: 1024,128."),
           (flags.DEFINE_boolean, "frame_features", None, "Whether files are frame-level (SequenceExample). Follows from "
            "--model."),
           (flags.DEFINE_float, "dropout", None, "Share of the encoding (in NeXtVLADModel and its mixtures, of the "
            "pooled clusters) dropped in training. Recipe: 0.5 for these and HierarchicalLstmModel, else 0."),
           (flags.DEFINE_alias, "drop_rate", "dropout"),
           (flags.DEFINE_string, "init_from", "", "Training directory whose best weights a new run starts with: all of "
            "them, or the encoder's where the classifiers differ."))
    _group("Classifiers",
           _setting(flags.DEFINE_integer, "moe_num_mixtures", "MoeModel", "Experts a class of MoeModel."),
           _setting(flags.DEFINE_float, "moe_l2", "MoeModel", "L2 of its gates and experts; 1e-6 with NetVLADModelLF."),
           _setting(flags.DEFINE_boolean, "moe_prob_gating", "MoeModel", "Context gating of the probabilities; with "
                    "NetVLADModelLF on."),
           _setting(flags.DEFINE_float, "l2_penalty", "LogisticModel", "L2 of LogisticModel; 1e-5 with NeXtVLADModel."))
    _group("HierarchicalLstmModel and LstmModel",
           _setting(flags.DEFINE_integer, "lstm_cells", "LstmModel", "Width of the LSTM layers."),
           _setting(flags.DEFINE_integer, "lstm_layers", "LstmModel", "LSTM layers, in H-RNN of each level."),
           (flags.DEFINE_integer, "frames_per_block", None, "Block length of the H-RNN teacher or baseline. Recipe: 20 "
            "for all frames, else 5 where that divides k, else 3."),
           (flags.DEFINE_integer, "student_frames_per_block", None, "Block length of the H-RNN student. Recipe: 5 where "
            "that divides k, else 3."))
    netvlad, nextvlad, mixture, dbof = "NetVLADModelLF", "NeXtVLADModel", "MODNeXtVladModel", "DbofModel"
    _group(netvlad,
           _setting(flags.DEFINE_integer, "netvlad_cluster_size", netvlad, "Clusters of rgb; audio has half as many."),
           _setting(flags.DEFINE_integer, "netvlad_hidden_size", netvlad, "Size of the encoding."),
           _setting(flags.DEFINE_boolean, "netvlad_relu", netvlad, "Batch normalisation and relu6 on the hidden layer."),
           _setting(flags.DEFINE_boolean, "netvlad_add_batch_norm", netvlad, "Batch normalisation; otherwise biases."),
           _setting(flags.DEFINE_boolean, "gating", netvlad, "Context gating of the encoding."),
           _setting(flags.DEFINE_boolean, "gating_remove_diag", netvlad, "Gates without an entry's own weight."),
           _setting(flags.DEFINE_boolean, "lightvlad", netvlad, "Sums instead of residuals from centres."))
    _group("NeXtVLADModel and its mixtures",
           (flags.DEFINE_string, "pca_eigenvalues", "", "File eigenvals.npy of the feature extractor's PCA: frames then "
            "have their whitening reversed, as published, instead of L2 normalisation."),
           _setting(flags.DEFINE_integer, "nextvlad_cluster_size", nextvlad, "Clusters of rgb; audio has half as many."),
           _setting(flags.DEFINE_integer, "nextvlad_hidden_size", nextvlad, "Size of the encoding."),
           _setting(flags.DEFINE_integer, "groups", nextvlad, "Groups of rgb; audio has half as many."),
           _setting(flags.DEFINE_integer, "expansion", nextvlad, "Factor on a frame's width before it is cut into groups."),
           _setting(flags.DEFINE_integer, "gating_reduction", nextvlad, "Factor by which the gate is narrower than the "
                    "encoding; 16 in mixtures."),
           _setting(flags.DEFINE_integer, "mix_number", mixture, "NeXtVLAD networks of a MixNeXtVladModel."),
           _setting(flags.DEFINE_integer, "mod_number", mixture, "MixNeXtVladModels of a MODNeXtVladModel."),
           _setting(flags.DEFINE_float, "cl_temperature", mixture, "T of the distillation within a mixture, weighed T "
                    "squared; 0 for none. The paper's fine-tuning has 20."),
           _setting(flags.DEFINE_boolean, "stop_mixture_gradient", mixture, "Keep that distillation from moving the mixture "
                    "towards its members."))
    _group(dbof,
           _setting(flags.DEFINE_integer, "dbof_cluster_size", dbof, "Clusters."),
           _setting(flags.DEFINE_integer, "dbof_hidden_size", dbof, "Size of the encoding."),
           _setting(flags.DEFINE_enum, "dbof_pooling_method", dbof, "How frames are pooled.", configs.POOLING_METHODS),
           _setting(flags.DEFINE_enum, "dbof_activation", dbof, "Activation.", configs.ACTIVATIONS),
           _setting(flags.DEFINE_boolean, "dbof_add_batch_norm", dbof, "Batch normalisation; otherwise biases."))


def _setting(define, name, model, text, *choices):
    """The definition of a family's setting, with its published value in the help."""
    published = configs.published_settings(model, configs.FAMILIES[model].classifier)[name]
    shown = str(published).lower() if isinstance(published, bool) else published
    return define, name, None, *choices, f"{text} Recipe: {shown}."


def define_frames(title="Frames that the network sees (in serial and parallel mode: the student)",
                  default="all in mode=teacher, uniform otherwise"):
    _group(title,
           (flags.DEFINE_enum, "frame_selection", None, configs.FRAME_SELECTIONS, f"Default: {default}; strided where "
            "--every_n is given."),
           (flags.DEFINE_integer, "frames_per_video", None, "k, for every selection but all and strided. Default: 30."),
           (flags.DEFINE_integer, "every_n", None, "Stride of --frame_selection=strided."))


def define_distillation():
    defaults = configs.DistillationConfig()
    _group("Distillation",
           (flags.DEFINE_enum, "mode", "teacher", configs.MODES, "teacher: one network (teacher or baseline); serial: "
            "student of a trained teacher; parallel: both together."),
           (flags.DEFINE_string, "teacher_dir", "", "Training directory of the teacher (serial)."),
           (flags.DEFINE_string, "teacher_targets_dir", "", "Folder for the teacher's targets (serial): computed once, "
            "then read in its place, by any number of students."),
           (flags.DEFINE_enum, "student_model", None, configs.MODELS, "Network family of the student. Default: the "
            "teacher's; of a mixture also what it is made of, with --student_loss=pred,ce."),
           (flags.DEFINE_list, "student_loss", list(defaults.student_loss), "Subset of rep,pred,ce."),
           (flags.DEFINE_float, "rep_weight", defaults.rep_weight, "Weight of L_rep."),
           (flags.DEFINE_float, "pred_weight", defaults.pred_weight, "Weight of L_pred."),
           (flags.DEFINE_float, "ce_weight", defaults.ce_weight, "Weight of L_CE."),
           (flags.DEFINE_float, "intermediate_weight", defaults.intermediate_weight, "Weight of L_rep^I."),
           (flags.DEFINE_enum, "prediction_distance", defaults.prediction_distance, configs.PREDICTION_DISTANCES,
            "d in L_pred: kl of independent Bernoullis, categorical_kl as in the authors' release, or squared."),
           (flags.DEFINE_boolean, "match_intermediate", defaults.match_intermediate, "Match the states after common frames "
            "too (L_rep^I)."),
           (flags.DEFINE_enum, "intermediate_reduction", defaults.intermediate_reduction,
            configs.INTERMEDIATE_REDUCTIONS, "L_rep^I over the common frames; sum is the paper's equation 3."),
           (flags.DEFINE_boolean, "share_classifier", defaults.share_classifier, "Serial: the student's classifier starts "
            "as the teacher's. Parallel: one classifier for both."),
           (flags.DEFINE_boolean, "freeze_classifier", defaults.freeze_classifier, "Serial: keep the teacher's classifier "
            "as it is, for both."))


def define_training():
    _group("Training (recipes: the H-RNN's; other families have their own, printed when a run starts)",
           (flags.DEFINE_integer, "batch_size", None, "Videos a step, over all GPUs together. Recipe: 256."),
           (flags.DEFINE_integer, "num_epochs", None, "Passes over the training videos. Recipe: 5."),
           (flags.DEFINE_integer, "finetune_epochs", None, "Epochs of the second stage of a serial run on rep alone. "
            "Recipe: 5."),
           (flags.DEFINE_integer, "max_steps", None, "End the run at this step."),
           (flags.DEFINE_enum, "optimizer", None, configs.OPTIMIZERS, "Recipe: AdamOptimizer."),
           (flags.DEFINE_enum, "label_loss", "CrossEntropyLoss", ["CrossEntropyLoss"], "L_CE."),
           (flags.DEFINE_float, "base_learning_rate", None, "Recipe: 0.001."),
           (flags.DEFINE_float, "learning_rate_decay", None, "Factor of the staircase decay. Recipe: 0.95."),
           (flags.DEFINE_integer, "learning_rate_decay_examples", None, "Examples between two decays. Recipe: 4000000."),
           (flags.DEFINE_float, "regularization_penalty", None, "Factor on the layers' own L2 terms. Recipe: 2."),
           (flags.DEFINE_float, "clip_gradient_norm", None, "Greatest norm of one variable's gradient, 0 for none. "
            "Recipe: 1."),
           (flags.DEFINE_integer, "seed", 0, "Of weights, data order, frame selection and dropout."),
           (flags.DEFINE_boolean, "mixed_precision", False, "Compute encoders in bfloat16; classifier and losses stay "
            "float32."),
           (flags.DEFINE_float, "train_fraction", 1.0, "Share of the training videos to use, the same ones each time."))


def define_training_folder():
    _group("Folder",
           (flags.DEFINE_string, "train_dir", "/tmp/yt8m_model/", "Where checkpoints, config.json and logs go. A run "
            "there is gone on with."),
           (flags.DEFINE_boolean, "start_new_model", False, "Replace the run in --train_dir. A folder that holds "
            "something else is never touched."),
           (flags.DEFINE_integer, "checkpoint_steps", None, "Also save every so many steps, not only after epochs."),
           (flags.DEFINE_integer, "validation_steps", None, "Also validate every so many steps."),
           (flags.DEFINE_integer, "max_to_keep", 3, "Checkpoints kept, beside the best."))


def define_trained_network():
    _group("Network to use",
           (flags.DEFINE_string, "train_dir", "", "Training directory of the network."),
           (flags.DEFINE_enum, "network", None, [schema.TEACHER, schema.STUDENT], "Which network of the run; the student "
            "where there is one."),
           (flags.DEFINE_string, "checkpoint", None, "best, last, or a step. Default: best; "
            "where eval.py follows a training, the newest."),
           (flags.DEFINE_integer, "batch_size", None, "Videos at a time, over all GPUs together. Default: by the frames "
            "that the network sees, on each GPU 128 videos of 300 frames, 1,024 of 37 and fewer.", 1),
           (flags.DEFINE_boolean, "mixed_precision", None, "Compute the encoder in bfloat16; classifier and scores stay "
            "float32. Default: as the network was trained."))


def define_top_k():
    flags.DEFINE_integer("top_k", schema.TOP_K, "Best classes of each video that count.", 1)
    GROUPS.setdefault("Output", []).append("top_k")


class _Refused(flags.ArgumentParser):
    """A flag that is known and cannot be served: setting it is an error with a reason, never ignored."""

    def __init__(self, reason):
        super().__init__()
        self.reason = reason

    def parse(self, argument):
        raise ValueError(self.reason)


def define_refused(**reasons):
    for name, reason in reasons.items():
        # boolean: `--name` alone is refused too, and does not swallow the argument after it.
        flags.DEFINE_flag(flags.Flag(_Refused(reason), None, name, None, "Not served: " + reason, boolean=True))


READERS = "files are read in their order, one after the other; only training reads several at a time"
SEGMENTS = "segment-level labels are not in this version; train and predict on whole videos"


def feature_config():
    """FeatureConfig from the flags: names and sizes given, or the recipe of the model."""
    video_level = FLAGS.model in configs.VIDEO_LEVEL_MODELS
    if FLAGS.frame_features is not None and FLAGS.frame_features == video_level:
        raise ValueError(f"frame_features={FLAGS.frame_features}: {FLAGS.model} reads "
                         f"{'video' if video_level else 'frame'}-level files.")
    names = FLAGS.feature_names or (schema.VIDEO_FEATURES if video_level else schema.FRAME_FEATURES)
    names = [name.strip() for name in names]
    return configs.FeatureConfig(names, _feature_sizes(names), not video_level, "float32" if video_level else "uint8")


def _feature_sizes(names):
    if FLAGS.feature_sizes is not None:
        try:
            return [int(size) for size in FLAGS.feature_sizes]
        except ValueError:
            raise ValueError(f"feature_sizes={','.join(FLAGS.feature_sizes)}: give whole numbers.") from None
    unknown = [name for name in names if name not in schema.FEATURE_SIZES]
    if unknown:
        raise ValueError(f"feature_sizes is needed for {', '.join(unknown)}; known are "
                         f"{', '.join(schema.FEATURE_SIZES)}.")
    return [schema.FEATURE_SIZES[name] for name in names]


def frame_config(default_selection):
    """FrameConfig from --frame_selection, --frames_per_video and --every_n."""
    selection = FLAGS.frame_selection
    if selection is None and FLAGS.every_n is not None:
        selection = "strided"
    if selection is None and FLAGS.frames_per_video is not None:
        selection = "uniform"
    selection = selection or default_selection
    k = FLAGS.frames_per_video
    if k is None and selection not in ("all", "strided"):
        k = 30
    return configs.FrameConfig(selection, k, FLAGS.every_n)


def given(*names):
    """Those of the named flags that were given, as a dict."""
    return {name: FLAGS[name].value for name in names if FLAGS[name].value is not None}


def warn(line):
    """Prints a line to standard error, if there is one."""
    if line:
        print(line, file=sys.stderr, flush=True)


def flag_of(message):
    """`message` with `--` in front where it begins with the name of a flag, as our range checks do."""
    match = re.match(r"(\w+)( is | in | has | asks |=)", message)
    return f"--{message}" if match and match[1] in FLAGS else message

"""The flags of `python -m reproduce`, and the recipes, grid, shard, settings, and files that they request."""

import hashlib
import pathlib

from absl import flags

from reproduce.grid import FAMILIES, PAPER_SKIPS, Grid
from reproduce.recipes import EVERY_RECIPE, RECIPES
from reproduce.segment_flags import SEGMENT_FLAGS
from reproduce.settings import ExperimentSettings
from reproduce.trials import METHODS
from youtube8m_distill import config as configs
from youtube8m_distill import runs, schema
from youtube8m_distill.cli import flags as package_flags
from youtube8m_distill.cli import values
from youtube8m_distill.cli.flags import Flag
from youtube8m_distill.cli.networks import NETWORK_FLAGS
from youtube8m_distill.cli.run_config import TRAINING_FLAGS
from youtube8m_distill.errors import SettingError

FLAGS = flags.FLAGS

ALL, REPORT = "all", "report"
PATTERNS = ("train_data_pattern", "validation_data_pattern", "eval_data_pattern")
VALIDATION_SHARE = 8  # with --data, one in eight validate files selects the best epoch; the others are held out
# Flags of `yt8m train` that each trial sets.
TRIAL_FLAGS = (
    "model",
    "video_level_classifier_model",
    "frame_features",
    "init_from",
    "frames_per_block",
    "student_frames_per_block",
    "seed",
    "train_fraction",
    "max_steps",
    "skip_budget",
    "skip_reward",
)


def define_flags():
    package_flags.define(
        "Data",
        data=Flag(
            "Folder with train*.tfrecord and validate*.tfrecord. An eighth of the validate files, at least one, selects "
            "the best epoch; the others are held out for scoring. The next three flags override these choices. With mod_*, "
            "half of the validate files train instead; see --finetune_data_pattern.",
            pathlib.Path,
        ),
        train_data_pattern=Flag("Globs of training files, comma-separated."),
        validation_data_pattern=Flag("Globs of the files that select the best epoch."),
        eval_data_pattern=Flag("Globs of held-out files to score. No video may be in two of the three sets."),
        **package_flags.EXCLUDE_RECORDS,
        vocabulary=Flag("Official vocabulary CSV with the class names for figures and tables.", pathlib.Path),
        about_data=Flag("A sentence that describes the data, for the report."),
    )
    package_flags.define(
        "Output",
        output_dir=Flag("Folder for results, runs, tables, figures, and report.html.", pathlib.Path),
        report=Flag("Measure speed and write the report at the end.", bool, True),
        dry_run=Flag("List the trials and whether they are finished, without training.", bool, False),
    )
    package_flags.define(
        "Grid",
        recipe=Flag(
            "Named set of values that all trials start from, as in `yt8m train`. With another one than the default, "
            "restrict --families to those that it describes.",
            tuple(configs.RECIPES),
            "default",
        ),
        student_recipes=Flag(
            "Recipes for serial students, such as best: Table 1 then has a row of each, beside the paper's. Their teachers "
            "are those of the other students. Default: none.",
            tuple,
        ),
        families=Flag("Network families to run.", tuple, list(FAMILIES)),
        methods=Flag("Methods to run, the rows of the tables.", tuple, list(METHODS)),
        ks=Flag("Numbers of frames that students see.", tuple, list(map(str, Grid().ks))),
        seeds=Flag(
            "Number of seeds of the main trials: H-RNN's Skyline, Uniform-k, serial student of all losses, and control, "
            "each trained on all videos, and SkipFrames; with mod_*, all but MixNeXtVLAD_large and MODNeXtVLAD.",
            int,
            1,
            at_least=1,
        ),
        other_seeds=Flag("Number of seeds of all other trials. Default: the value of --seeds.", int, at_least=1),
        same_steps=Flag(
            "Train trials on a fraction of the training videos for as many steps as trials on all videos, that is, for "
            "more epochs.",
            bool,
            False,
        ),
    )
    package_flags.define(
        "Work",
        shard=Flag("Part of the trials to train: i/n is the i-th of n parts, 1/n to n/n.", str, "1/1"),
        workers=Flag("Number of processes on this machine that train trials at the same time.", int, 1, at_least=1),
        threads=Flag("CPU threads per process. Default: all cores, divided by --workers.", int, at_least=1),
        store_targets=Flag(
            "Compute a teacher's targets once for all its students. They take 16 KB per video at the published size.",
            bool,
            True,
        ),
        max_held_gb=Flag(
            "GB of records that each process may keep in memory instead of reading the files for each trial. Default: a "
            "quarter of the free memory, divided by --workers.",
            float,
            at_least=0,
        ),
    )
    package_flags.define("Segments (mod_*)", **SEGMENT_FLAGS)
    package_flags.define_network()
    package_flags.define_training()
    package_flags.define_devices()


def chosen_recipes(names):
    """The recipes that the command line names, in the order of the report.

    Raises:
        ValueError: if there are none, or if one is unknown.
    """
    known = [*EVERY_RECIPE, ALL, REPORT]
    if not names:
        raise ValueError(f"name what to run: one or more of {', '.join(known)}.")
    for name in names:
        if name not in known:
            raise ValueError(f"{name!r} is unknown; choose one or more of {', '.join(known)}.")
    if REPORT in names and len(names) > 1:
        raise ValueError(f"{REPORT} takes no other names. It shows everything that was requested in --output_dir.")
    return [name for name in EVERY_RECIPE if name in names or (ALL in names and name in RECIPES)]


def refuse_other_flags():
    """Refuses flags that `report` does not use.

    Raises:
        SettingError: about the first such flag.
    """
    for name in (name for names in package_flags.GROUPS.values() for name in names):
        if FLAGS[name].present and name not in ("output_dir", "about_data"):
            raise SettingError(name, f"has no effect with {REPORT}; leave it out.")


def grid_from_flags() -> Grid:
    """The requested Grid."""
    try:
        ks = tuple(sorted(int(k) for k in FLAGS.ks))
    except ValueError:
        raise SettingError("ks", "give whole numbers.", FLAGS.ks) from None
    return Grid(
        families=tuple(FLAGS.families),
        methods=tuple(FLAGS.methods),
        ks=ks,
        skip_actions=FLAGS.skip_actions or PAPER_SKIPS,
        student_recipes=tuple(FLAGS.student_recipes or ()),
        seeds=FLAGS.seeds,
        other_seeds=FLAGS.other_seeds or FLAGS.seeds,
    )


def read_shard(text: str) -> tuple[int, int]:
    """Parses "i/n" and returns (i - 1, n).

    Raises:
        SettingError: if the text has another form.
    """
    index, _, count = text.partition("/")
    if not (index.isdecimal() and count.isdecimal() and 1 <= int(index) <= int(count)):
        raise SettingError("shard", "give i/n for the i-th of n parts, from 1/n to n/n.", text)
    return int(index) - 1, int(count)


def settings_from_flags():
    """The ExperimentSettings, and the files as a dict from flag to tuple of Shard.

    Raises:
        SettingError: about the flag that is invalid.
    """
    refuse_flags(SEGMENT_FLAGS, "has no effect here; it is for mod_*.")
    for family in FLAGS.families:
        configs.RECIPES[FLAGS.recipe].check(FLAGS.recipe, family, "teacher")
    if FLAGS.recipe in (FLAGS.student_recipes or ()):
        raise SettingError("student_recipes", "contains --recipe, with which all students are trained.", FLAGS.recipe)
    values, shards = common_settings(data_patterns(), FAMILIES)
    settings = ExperimentSettings(
        **values, same_steps=FLAGS.same_steps, store_targets=FLAGS.store_targets, recipe=FLAGS.recipe
    )
    return settings, shards


def refuse_flags(names, reason):
    """Refuses flags that are given.

    Raises:
        SettingError: about the first such flag.
    """
    for name in names:
        if FLAGS[name].present:
            raise SettingError(name, reason)


def common_settings(patterns, families):
    """What every experiment has: values of ExperimentSettings, and the files as a dict from flag to tuple of Shard.

    Args:
        patterns: dict from flag to file pattern, which includes `train_data_pattern`.
        families: values of --model; a network setting that none of them has is refused.
    Raises:
        SettingError: about the flag that is invalid.
    """
    refuse_flags(TRIAL_FLAGS, "has no effect here, because each trial sets it. See --families, --ks, and --seeds.")
    features = values.feature_config()
    record_files = runs.RecordFiles(values.exclusions())
    dtype = record_files.stored_dtype("train_data_pattern", patterns["train_data_pattern"], features.names)
    features = features.replace(dtype=dtype)
    network = values.given(*NETWORK_FLAGS)
    num_classes = network.pop("num_classes", None) or schema.NUM_CLASSES
    network.pop("skip_actions", None)  # an option of the grid
    shards = record_files.find(patterns, features)
    for name in network:
        if not any(name in configs.network_config(family).settings() for family in families):
            raise SettingError(name, f"has no effect here: {', '.join(families)} do not have this setting.")
    fingerprints = {flag: runs.fingerprint_of_names(found) for flag, found in shards.items()}
    if FLAGS.pca_eigenvalues:
        fingerprints["pca_eigenvalues"] = file_digest("pca_eigenvalues")
    return {
        **patterns,
        "features": features,
        "num_classes": num_classes,
        "network": network,
        "training": {name: FLAGS[name].value for name in TRAINING_FLAGS if name in FLAGS and FLAGS[name].present},
        "exclude_records": FLAGS.exclude_records,
        "pca_eigenvalues": FLAGS.pca_eigenvalues,
        "about_data": FLAGS.about_data,
        "fingerprints": fingerprints,
    }, shards


def file_digest(flag):
    """The first 16 digits of the sha256 of the file that a flag names.

    Raises:
        SettingError: about the flag, if the file cannot be read.
    """
    path = FLAGS[flag].value or ""
    try:
        with open(path, "rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()[:16]
    except OSError as error:
        raise SettingError(flag, f"cannot be read: {error.strerror}.", path) from error


def data_patterns():
    """A dict from flag to file pattern: the flag's value, or by default the files in --data."""
    given = given_patterns(PATTERNS)
    if not FLAGS.data:
        return given
    folder = pathlib.Path(FLAGS.data)
    validate = sorted(map(str, folder.glob("validate*.tfrecord")))
    count = max(1, len(validate) // VALIDATION_SHARE)
    if len(validate) < 2 and not (given["validation_data_pattern"] and given["eval_data_pattern"]):
        raise SettingError(
            "data",
            f"contains {len(validate)} validate*.tfrecord file(s). At least two are needed: one to select the best epoch, "
            "and one to score.",
            folder,
        )
    found = {
        "train_data_pattern": str(folder / "train*.tfrecord"),
        "validation_data_pattern": ",".join(validate[:count]),
        "eval_data_pattern": ",".join(validate[count:]),
    }
    return {name: given[name] or found[name] for name in PATTERNS}


def given_patterns(names):
    """A dict from flag to its value, which may be "" only with --data.

    Raises:
        SettingError: about the first pattern that is missing.
    """
    given = {name: FLAGS[name].value or "" for name in names}
    for name, pattern in given.items():
        if not (pattern or FLAGS.data):
            raise SettingError(name, "is missing. Set it, or set --data to the folder of all files.")
    return given

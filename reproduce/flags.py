"""From the flags of the experiments' command to what is to be done: recipes, grid, part, settings and files."""

import hashlib
import pathlib

from absl import flags

from reproduce.grid import FAMILIES, Grid
from reproduce.recipes import RECIPES
from reproduce.settings import Settings
from youtube8m_distill import config as configs
from youtube8m_distill import runs, schema
from youtube8m_distill.cli import flags as our_flags
from youtube8m_distill.cli.run_config import NETWORK_FLAGS
from youtube8m_distill.cli.setting_flags import training_flags
from youtube8m_distill.errors import SettingError

FLAGS = flags.FLAGS

ALL, REPORT = "all", "report"
PATTERNS = ("train_data_pattern", "validation_data_pattern", "eval_data_pattern")
VALIDATION_SHARE = 8  # --data: one in so many validate files chooses the best epoch, the others are scored
# Flags of train.py that a cell, its family or its place in the grid decides.
DECIDED = (
    "model",
    "video_level_classifier_model",
    "frame_features",
    "init_from",
    "frames_per_block",
    "student_frames_per_block",
    "seed",
    "train_fraction",
    "max_steps",
)


def chosen_recipes(names):
    """The recipes that the command line names, in the order of the report.

    Raises:
        ValueError: if it names none, or an unknown one.
    """
    known = [*RECIPES, ALL, REPORT]
    if not names:
        raise ValueError(f"name what to run: one or more of {', '.join(known)}.")
    for name in names:
        if name not in known:
            raise ValueError(f"{name!r} is no experiment; choose among {', '.join(known)}.")
    if REPORT in names and len(names) > 1:
        raise ValueError(f"{REPORT} stands alone: it shows what the commands on this --output_dir have asked for.")
    return [name for name in RECIPES if name in names or ALL in names]


def refuse_other_flags():
    """Refuses flags that `report` does not read.

    Raises:
        ValueError: beginning with the name of the first.
    """
    ours = [name for names in our_flags.GROUPS.values() for name in names]
    for name in ours:
        if FLAGS[name].present and name not in ("output_dir", "about_data"):
            raise SettingError(name, f"has no effect with {REPORT}, which shows what is there; leave it out.")


def grid_from_flags():
    """The Grid that the flags ask for."""
    try:
        ks = tuple(sorted(int(k) for k in FLAGS.ks))
    except ValueError:
        raise SettingError("ks", "give whole numbers.", ",".join(FLAGS.ks)) from None
    return Grid(tuple(FLAGS.families), tuple(FLAGS.methods), ks, FLAGS.seeds, FLAGS.other_seeds or FLAGS.seeds)


def read_shard(text):
    """ "i/n" -> (i - 1, n).

    Raises:
        ValueError: if it is not of that form.
    """
    index, _, count = text.partition("/")
    if not (index.isdecimal() and count.isdecimal() and 1 <= int(index) <= int(count)):
        raise SettingError("shard", "give i/n, of n parts the i-th, from 1/n to n/n.", text)
    return int(index) - 1, int(count)


def settings_from_flags():
    """The Settings that the flags ask for, and the files: dict, flag -> tuple of Shard.

    Raises:
        ValueError, FileNotFoundError: beginning with the name of the flag that is to blame.
    """
    for name in DECIDED:
        if FLAGS[name].present:
            raise SettingError(name, "has no effect here: what a cell is decides it. See --families, --ks, --seeds.")
    patterns = data_patterns()
    features = our_flags.feature_config()
    dtype = runs.stored_dtype("train_data_pattern", patterns["train_data_pattern"], features.names)
    features = features.replace(dtype=dtype)
    network = our_flags.given(*NETWORK_FLAGS)
    num_classes = network.pop("num_classes", None) or schema.NUM_CLASSES
    shards = runs.find_sets(patterns, features)
    for name in network:
        if not any(name in configs.network_config(family).settings() for family in FAMILIES):
            raise SettingError(name, f"has no effect here: {', '.join(FAMILIES)} do not have it.")
    training = {
        name: FLAGS[name].value for name in training_flags() if name in FLAGS and FLAGS[name].present and name not in DECIDED
    }
    fingerprints = {flag: runs.fingerprint(found) for flag, found in shards.items()}
    if FLAGS.pca_eigenvalues:
        fingerprints["pca_eigenvalues"] = digest_of("pca_eigenvalues")
    settings = Settings(
        **patterns,
        features=features,
        num_classes=num_classes,
        network=network,
        training=training,
        same_steps=FLAGS.same_steps,
        pca_eigenvalues=FLAGS.pca_eigenvalues,
        store_targets=FLAGS.store_targets,
        about_data=FLAGS.about_data,
        fingerprints=fingerprints,
    )
    return settings, shards


def digest_of(flag):
    """sha256 of the file that a flag names.

    Raises:
        ValueError: beginning with the flag, if it cannot be read.
    """
    try:
        with open(FLAGS[flag].value, "rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()[:16]
    except OSError as error:
        raise ValueError(f"{flag}={FLAGS[flag].value} cannot be read: {error.strerror}.") from error


def data_patterns():
    """dict, flag -> pattern: as given, or the files in --data."""
    given = {name: FLAGS[name].value for name in PATTERNS}
    if not FLAGS.data:
        for name, pattern in given.items():
            if not pattern:
                raise SettingError(name, "is missing: give it, or --data with the folder of all files.")
        return given
    folder = pathlib.Path(FLAGS.data)
    validate = sorted(map(str, folder.glob("validate*.tfrecord")))
    count = max(1, len(validate) // VALIDATION_SHARE)
    if len(validate) < 2 and not (given["validation_data_pattern"] and given["eval_data_pattern"]):
        raise SettingError(
            "data",
            f"has {len(validate)} files validate*.tfrecord: two at least are needed, to "
            "choose the best epoch by and to score on.",
            folder,
        )
    found = {
        "train_data_pattern": str(folder / "train*.tfrecord"),
        "validation_data_pattern": ",".join(validate[:count]),
        "eval_data_pattern": ",".join(validate[count:]),
    }
    return {name: given[name] or found[name] for name in PATTERNS}

"""The record files that a flag names, found and looked into."""

import contextlib
import hashlib
import os

from youtube8m_distill.data.compact import check_views
from youtube8m_distill.data.contents import check_features, detect_dtype, frame_features
from youtube8m_distill.data.screening import Screening, screen
from youtube8m_distill.data.tfrecord import BadFileError, find_files
from youtube8m_distill.errors import SettingError


def fingerprint(shards):
    """Tells a set of files from any other by their names and sizes, wherever their folder is."""
    total = sum(shard.size for shard in shards)
    names = "\n".join(f"{os.path.basename(shard.path)} {shard.size}" for shard in shards)
    return f"{len(shards)} file(s), {total} bytes, sha256 {hashlib.sha256(names.encode()).hexdigest()[:16]}"


def find_shards(flag, pattern, features=None, views=()):
    """Finds the files of one flag.

    Args:
        flag: str. Its name, for messages.
        pattern: str. Its value.
        features: FeatureConfig that the files must hold, or None.
        views: the FrameConfigs of the networks that read them.
    Returns:
        tuple of data.tfrecord.Shard.
    Raises:
        FileNotFoundError, ValueError: beginning with the flag.
    """
    with _naming(flag, pattern):
        shards = find_files(pattern)
        if features is not None:
            check_features(shards, features)
        check_views(shards, views)
        return shards


def usable_shards(flag, pattern, features, num_classes, views=(), *, skip, max_bad_fraction, known=None):
    """Finds the files of one flag and, if asked to, the records in them that cannot be used, so as to go on without.

    Args:
        flag, pattern, features, views: as `find_shards` has them; without features records are held to all those that
            the first one has for each frame.
        num_classes: int.
        skip: bool. If false, this is `find_shards`, and a bad record ends the run that comes upon it. If true, every
            record is read once, see `data.screening.screen`.
        max_bad_fraction: float, 0 to 1: the greatest share of the records to go on without.
        known: what `Screening.to_json` gave for these files before, which saves reading them again; or None.
    Returns:
        data.screening.Screening; its `shards` are what to read.
    Raises:
        FileNotFoundError, ValueError: beginning with the flag; with max_bad_fraction, if more is bad.
    """
    if not skip:
        return Screening(find_shards(flag, pattern, features, views))
    with _naming(flag, pattern):
        bad_files = {}
        shards = find_files(pattern, bad_files)
        readable = _readable(shards, bad_files)
        # Files of another kind are all bad; that shows before they are read.
        if features is None:
            features = _of_any(readable, frame_features)
        _of_any(readable, lambda shard: check_features([shard], features))
        check_views(readable, views)
    return screen(shards, bad_files, features, num_classes, max_bad_fraction, known)


def stored_dtype(flag, pattern, names, skip=False):
    """Whether the files of one flag hold these frame features as bytes ("uint8") or as floats ("float32").

    Args:
        skip: bool, whether to pass over files that do not begin with a record that tells.
    Raises:
        FileNotFoundError, ValueError: beginning with the flag.
    """
    with _naming(flag, pattern):
        if not skip:
            return detect_dtype(find_files(pattern), names, frame_features=True)
        bad_files = {}
        shards = find_files(pattern, bad_files)
        return _of_any(_readable(shards, bad_files), lambda shard: detect_dtype([shard], names, frame_features=True))


def _readable(shards, bad_files):
    """The shards that are files of records at all; BadFileError if none is."""
    readable = [shard for shard in shards if shard.path not in bad_files]
    if not readable:
        raise BadFileError("; ".join(f"{path}: {reason}" for path, reason in bad_files.items()))
    return readable


def _of_any(shards, look):
    """What `look` gives for the first shard that it does not refuse; else the error about the first."""
    errors = []
    for shard in shards:
        try:
            return look(shard)
        except ValueError as error:
            errors.append(error)
    raise errors[0]


@contextlib.contextmanager
def _naming(flag, pattern):
    try:
        yield
    except SettingError:
        raise
    except (FileNotFoundError, ValueError) as error:
        raise SettingError(flag, str(error), pattern) from error

"""The record files that a flag names, found and looked into."""

import contextlib
import hashlib
import os

from youtube8m_distill.data.compact import check_views
from youtube8m_distill.data.contents import check_features, detect_dtype
from youtube8m_distill.data.sources import find_files


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
        tuple of data.sources.Shard.
    Raises:
        FileNotFoundError, ValueError: beginning with the flag.
    """
    with _naming(flag, pattern):
        shards = find_files(pattern)
        if features is not None:
            check_features(shards, features)
        check_views(shards, views)
        return shards


def stored_dtype(flag, pattern, names):
    """Whether the files of one flag hold these frame features as bytes ("uint8") or as floats ("float32").

    Raises:
        FileNotFoundError, ValueError: beginning with the flag.
    """
    with _naming(flag, pattern):
        return detect_dtype(find_files(pattern), names, frame_features=True)


@contextlib.contextmanager
def _naming(flag, pattern):
    try:
        yield
    except (FileNotFoundError, ValueError) as error:
        raise type(error)(f"{flag}={pattern}: {error}") from error

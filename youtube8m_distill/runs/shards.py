"""The record files that flags name: found, checked, and without excluded records."""

import contextlib
import hashlib
import os
from collections.abc import Iterable, Mapping, Sequence

from youtube8m_distill.config import FeatureConfig, FrameView
from youtube8m_distill.config.video import FeatureDtype
from youtube8m_distill.data.compact import check_views
from youtube8m_distill.data.contents import check_features, detect_dtype
from youtube8m_distill.data.exclusions import Fault, match, without
from youtube8m_distill.data.tfrecord import Shard, find_files, require_records
from youtube8m_distill.errors import SettingError


def fingerprint(shards: Sequence[Shard]) -> str:
    """Identifies a set of files by their names and sizes, wherever their folder is."""
    total = sum(shard.size for shard in shards)
    names = "\n".join(f"{os.path.basename(shard.path)} {shard.size}" for shard in shards)
    return f"{len(shards)} file(s), {total} bytes, sha256 {hashlib.sha256(names.encode()).hexdigest()[:16]}"


def find_shards(
    flag: str,
    pattern: str,
    features: FeatureConfig | None = None,
    views: Iterable[FrameView | None] = (),
    exclusions: Sequence[Fault] = (),
) -> tuple[Shard, ...]:
    """Finds the files of one flag.

    Args:
        flag: name of the flag, for messages.
        pattern: its value.
        features: that the files must hold; None for any.
        views: of the networks that read them.
        exclusions: from `data.exclusions.read_exclusions`.
    Returns:
        tuple of Shard, without excluded records.
    Raises:
        SettingError: naming the flag, or --exclude_records if the list is not about these files.
    """
    return find_sets({flag: pattern}, features, {flag: views}, exclusions)[flag]


def find_sets(
    patterns: Mapping[str, str],
    features: FeatureConfig | None = None,
    views: Mapping[str, Iterable[FrameView | None]] | None = None,
    exclusions: Sequence[Fault] = (),
) -> dict[str, tuple[Shard, ...]]:
    """Finds the files of several flags, as `find_shards` does; the exclusion list must be about any of them.

    Args:
        patterns: name of a flag -> its value.
        views: name of a flag -> views of the networks that read its files.
    Returns:
        dict, name of a flag -> tuple of Shard.
    """
    found = {flag: _find(flag, pattern, exclusions) for flag, pattern in patterns.items()}
    faults = match([shard for shards in found.values() for shard in shards], exclusions)
    for flag, pattern in patterns.items():
        with _naming(flag, pattern):
            shards = found[flag] = _usable(found[flag], faults)
            if features is not None:
                check_features(shards, features)
            check_views(shards, (views or {}).get(flag, ()))
    return found


def stored_dtype(flag: str, pattern: str, names: Sequence[str], exclusions: Sequence[Fault] = ()) -> FeatureDtype:
    """How the files of one flag store these frame features: "uint8" (bytes) or "float32".

    Raises:
        SettingError: naming the flag.
    """
    shards = _find(flag, pattern, exclusions)
    with _naming(flag, pattern):
        return detect_dtype(_usable(shards, match(shards, exclusions, required=False)), names, frame_features=True)


def _find(flag, pattern, exclusions):
    with _naming(flag, pattern):
        return find_files(pattern, allow_bad_files=bool(exclusions))


def _usable(shards, faults):
    shards = without(shards, faults)
    require_records(shards)
    return shards


@contextlib.contextmanager
def _naming(flag, pattern):
    """Turns errors about files into errors about the flag that names them."""
    try:
        yield
    except SettingError:
        raise
    except (FileNotFoundError, ValueError) as error:
        raise SettingError(flag, str(error), pattern) from error

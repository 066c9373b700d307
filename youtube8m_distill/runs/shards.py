"""The record files that a flag names, found and looked into."""

from youtube8m_distill.data.contents import check_features
from youtube8m_distill.data.sources import find_files


def find_shards(flag, pattern, features=None):
    """Finds the files of one flag.

    Args:
        flag: str. Its name, for messages.
        pattern: str. Its value.
        features: FeatureConfig that the files must hold, or None.
    Returns:
        tuple of data.sources.Shard.
    Raises:
        FileNotFoundError, ValueError: beginning with the flag.
    """
    try:
        shards = find_files(pattern)
        if features is not None:
            check_features(shards, features)
    except (FileNotFoundError, ValueError) as error:
        raise type(error)(f"{flag}={pattern}: {error}") from error
    return shards

"""What the manifest of a folder of compact files says about their frames. Imports no TensorFlow."""

from typing import Any

from youtube8m_distill import schema
from youtube8m_distill.config import NetworkConfig

MANIFEST = "compact.json"


def require_fitting(folder: str, settings: dict[str, Any], network: NetworkConfig) -> None:
    """Raises ValueError if a network needs more of a video than the compact files in a folder hold.

    `settings` are those of the manifest.
    """
    # In format 1, `uniform` was the name of `centered`.
    is_renamed = settings["format"] == 1 and settings["frame_selection"] == "uniform"
    kept = _selection({**settings, "frame_selection": "centered"} if is_renamed else settings)
    seen = kept if network.view is None else _selection(network.view.to_dict())
    if seen != kept:
        raise ValueError(
            f"the compact files in {folder} hold only {kept}, but a {network.model} that reads them needs {seen}. Give the "
            "original files."
        )
    if network.family.reads_frame_indices and settings["format"] < 3:
        raise ValueError(
            f"the compact files in {folder} are of an earlier version and do not hold the frames' indices in the "
            f"video, which a {network.model} reads; write them again, or give it the original files."
        )


def _selection(settings):
    """The frame selection in a view's settings, in words: 10 uniform frames of the first 600."""
    words = [str(settings[name]) for name in ("frames_per_video", "frame_selection") if settings[name] is not None]
    longest = settings.get("max_video_frames", schema.MAX_FRAMES)
    return " ".join([*words, "frames", *([f"of the first {longest}"] if longest != schema.MAX_FRAMES else [])])

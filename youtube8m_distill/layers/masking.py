"""Which rows of a padded batch are real frames."""

from keras import KerasTensor, ops


def frame_mask(num_frames: KerasTensor, max_frames: int | KerasTensor) -> KerasTensor:
    """True for real frames, False for padding. bool [batch, max_frames].

    Args:
        num_frames: int [batch]. Number of real frames of each video; they come first.
        max_frames: number of rows in the padded batch.
    """
    return ops.arange(max_frames, dtype="int32")[None, :] < ops.cast(num_frames, "int32")[:, None]

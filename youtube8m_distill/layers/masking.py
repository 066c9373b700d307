"""Which rows of a padded batch are real frames."""

from keras import ops


def frame_mask(num_frames, max_frames):
    """True where a row is a real frame. bool [batch, max_frames].

    Args:
        num_frames: int [batch]. Real frames of each video; they come first.
        max_frames: int. Rows of the padded batch.
    """
    return ops.arange(max_frames, dtype="int32")[None, :] < ops.cast(num_frames, "int32")[:, None]

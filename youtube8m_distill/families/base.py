"""What every network family gives: frames to one vector a video, in two parts with room for dropout in between."""

import keras


class Encoder(keras.layers.Layer):
    """Base of the frame-level families: `pool` looks at the frames, `project` turns the result into the encoding.

    Dropout, where a family has it, stands between the two; VideoClassifier applies it, so that the encoding without
    dropout, which distillation matches, is there at the cost of the second part only. Most families have no second part.

    A family also has the attribute `encoding_size` (int), `multiply_adds(num_frames)` (int: multiply-adds of one video,
    matrix products only).

    Layers, not weights, are to compute in `pool` and `project`: neither runs inside Keras' automatic casts.
    """

    def call(self, frames, num_frames, training=False):
        """Encoding of each video, without dropout.

        Args:
            frames: float [batch, T, size].
            num_frames: int [batch]. Real frames; they come first.
            training: bool.
        Returns:
            float [batch, encoding_size].
        """
        return self.project(self.pool(frames, num_frames, training), training)

    def pool(self, frames, num_frames, training=False):
        """The frames' part. Arguments as for `call`. float [batch, some size]."""
        raise NotImplementedError

    def pool_with_frame_states(self, frames, num_frames):
        """`pool`, and the state after each frame, float [batch, T, state size], where a family has such.

        Raises:
            ValueError: if it has not.
        """
        raise ValueError(
            f"frame_states=True: {type(self).__name__} has no state after each frame; match encodings or predictions."
        )

    def project(self, pooled, training=False, update_statistics=True):
        """The encoding from what `pool` gives.

        Args:
            pooled: float [batch, some size].
            training: bool.
            update_statistics: bool. Whether batch normalization moves its moving statistics; once a step is enough.
        Returns:
            float [batch, encoding_size].
        """
        return pooled

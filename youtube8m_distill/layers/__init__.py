"""Layers that several families share. They use `keras.ops` only, so they run on every Keras backend."""

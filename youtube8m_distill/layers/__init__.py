"""Layers that several families share. `keras.ops` only, so any Keras backend runs them."""

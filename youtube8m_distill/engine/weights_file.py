"""Reads weights files that may come from strangers: each is checked before Keras reads it.

HDF5 has features that weights do not need: links to other files, arrays larger than the file, filters loaded from elsewhere.
Keras 3.15 refuses some of them, but only after following them. Here a file must hold what Keras writes: arrays of
floating-point numbers, all stored in the file itself.
"""

import contextlib
import os
import pathlib

import h5py
import keras

from youtube8m_distill.errors import in_one_line

STORED_IN_ONE_PIECE = (h5py.h5d.CONTIGUOUS, h5py.h5d.COMPACT)
# What h5py and Keras raise for invalid files; SystemError for a name in h5py that is not text.
UNREADABLE = (ValueError, TypeError, KeyError, RuntimeError, OverflowError, SystemError)


def load_weights(network: keras.Model, path: str | pathlib.Path) -> None:
    """Loads the weights in a `.weights.h5` file into a built network. ValueError if it holds anything else, or others."""
    count_weights(path)
    with _naming(path):
        network.load_weights(path)


def count_weights(path: str | pathlib.Path) -> int:
    """How many numbers a weights file holds, without reading them. ValueError if it holds anything but weights."""
    with _naming(path), h5py.File(path, "r") as file:
        links = {}
        file.visititems_links(links.__setitem__)
        for name, link in links.items():
            if not isinstance(link, h5py.HardLink):
                raise ValueError(f"{name} in it is a link to another place.")
        arrays = [file[name] for name in links if isinstance(file[name], h5py.Dataset)]
        for array in arrays:
            storage = array.id.get_create_plist()
            if storage.get_layout() not in STORED_IN_ONE_PIECE or storage.get_nfilters() or storage.get_external_count():
                raise ValueError(f"{array.name} in it is not stored in one piece, as weights are.")
            if array.shape is None or array.dtype.kind != "f":
                raise ValueError(f"{array.name} in it is not an array of floating-point numbers.")
        if sum(array.nbytes for array in arrays) > os.path.getsize(path):
            raise ValueError("its arrays are larger than the file.")
        return sum(array.size for array in arrays)


@contextlib.contextmanager
def _naming(path):
    """Replaces the messages of h5py and Keras about a file by one line with its path."""
    try:
        yield
    except (OSError, *UNREADABLE) as error:
        if isinstance(error, OSError) and error.errno is not None:  # about the disk, not the content
            raise
        what = "is damaged, or not a weights file" if isinstance(error, OSError) else "does not hold this network's weights"
        raise ValueError(f"{path} {what}: {in_one_line(error)}") from error

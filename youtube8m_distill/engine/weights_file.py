"""Reading a file of weights, which may be a stranger's: looked through before Keras takes anything from it.

HDF5, the format of these files, can do much that weights do not need: refer to other files, promise more numbers than are
there, call filters that it loads from elsewhere. Keras 3.15 refuses some of that, in the parts it reads and after following
it. Here a file is refused unless it is what Keras writes: arrays of floating-point numbers, all in the file itself.
"""

import contextlib
import os

import h5py

from youtube8m_distill.checks import require

STORED_IN_ONE_PIECE = (h5py.h5d.CONTIGUOUS, h5py.h5d.COMPACT)
LONGEST_REASON = 300  # characters; Keras lists every layer
# What h5py and Keras raise over bad files; SystemError where h5py meets a name that is no text.
UNREADABLE = (ValueError, TypeError, KeyError, RuntimeError, OverflowError, SystemError)


def load_weights(network, path):
    """Fills a network with the weights in a file.

    Args:
        network: keras.Model, built.
        path: pathlib.Path of a `.weights.h5`.
    Raises:
        ValueError: if these are no weights, or another network's.
        OSError: if the file cannot be read.
    """
    count_weights(path)
    with _naming(path):
        network.load_weights(path)


def count_weights(path):
    """How many numbers a file of weights holds; no array of it is read.

    Raises:
        ValueError: if it is no file of weights, or has anything in it that no such file needs.
        OSError: if it cannot be read.
    """
    with _naming(path), h5py.File(path, "r") as file:
        links = {}
        file.visititems_links(links.__setitem__)
        foreign = [name for name, link in links.items() if not isinstance(link, h5py.HardLink)]
        require(not foreign, f"{foreign[:1]} in it is a link to somewhere else.")
        arrays = [file[name] for name in links if isinstance(file[name], h5py.Dataset)]
        for array in arrays:
            _check_array(array)
        promised = sum(array.nbytes for array in arrays)
        require(promised <= os.path.getsize(path), "it promises more numbers than it has bytes.")
        return sum(array.size for array in arrays)


def _check_array(array):
    storage = array.id.get_create_plist()
    require(
        storage.get_layout() in STORED_IN_ONE_PIECE and not storage.get_nfilters() and not storage.get_external_count(),
        f"{array.name} in it is not stored as weights are, in one piece.",
    )
    require(
        array.shape is not None and array.dtype.kind == "f", f"{array.name} in it is no array of floating-point numbers."
    )


@contextlib.contextmanager
def _naming(path):
    """Puts the path, and one line, in place of what h5py and Keras say of a file."""
    try:
        yield
    except OSError as error:
        if error.errno is not None:  # the disk's, and not the content's
            raise
        raise ValueError(f"{path} is no file of weights, or damaged: {_line(error)}") from error
    except UNREADABLE as error:
        raise ValueError(f"{path} does not hold this network's weights: {_line(error)}") from error


def _line(error):
    return " ".join(str(error).split())[:LONGEST_REASON]

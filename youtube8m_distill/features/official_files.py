"""Files of the official extractors: frozen TensorFlow graphs, and the projections of their outputs."""

import pathlib
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import tensorflow as tf
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

from youtube8m_distill.errors import SettingError

FLAG = "extractor_dir"


def choose_files(folder: str, what: str, *choices: Sequence[str]) -> list[pathlib.Path]:
    """The first of some sets of files, by name, that is in a folder as a whole. SettingError if none is."""
    for names in choices:
        paths = [pathlib.Path(folder, name) for name in names]
        if all(path.is_file() for path in paths):
            return paths
    listed = ", or ".join(" and ".join(names) for names in choices)
    advice = "The manual's page on own videos has the downloads."
    raise SettingError(FLAG, f"{what} needs {listed} in this folder. {advice}", folder)


def load_graph(path: pathlib.Path, feed: str, fetch: str) -> Callable[[np.ndarray], np.ndarray]:
    """A function from the tensor `feed` of a frozen graph to the tensor `fetch`. SettingError if the graph has no such.

    It runs in a session, because a tf.function refuses the operations of old graphs that TensorFlow no longer creates.
    """
    imported = tf.Graph()
    try:
        definition = tf.compat.v1.GraphDef.FromString(path.read_bytes())
        with imported.as_default():
            tf.graph_util.import_graph_def(definition, name="")
    except Exception as error:  # protobuf's own DecodeError, which TensorFlow does not export; errors of an invalid graph
        raise SettingError(FLAG, f"{path.name} is not a frozen TensorFlow graph ({error}).", path.parent) from error
    for name in (feed, fetch):
        try:
            imported.get_tensor_by_name(name)
        except KeyError as error:
            raise SettingError(FLAG, f"{path.name} has no tensor {name}: it is another graph.", path.parent) from error
    session = tf.compat.v1.Session(graph=imported)
    return lambda values: session.run(fetch, {feed: values})


def read_projection(
    folder: str, what: str, read: dict[tuple[str, ...], Callable], sizes: tuple[int, int]
) -> tuple[np.ndarray, np.ndarray]:
    """The mean float32 [n] and the matrix float32 [n, m] of the first set of files that is in a folder.

    Args:
        read: names of a set of files -> function from their paths to (mean, matrix).
        sizes: n and m.
    Raises:
        SettingError: if there is no set, or it does not hold such arrays.
    """
    paths = choose_files(folder, what, *read)
    names = tuple(path.name for path in paths)
    try:
        mean, matrix = (np.asarray(array, np.float32) for array in read[names](*paths))
    except Exception as error:  # of NumPy or protobuf, of many types
        raise SettingError(FLAG, f"{' and '.join(names)} cannot be read ({error}).", folder) from error
    if mean.size != sizes[0] or matrix.shape != sizes:
        found = f"a mean of {mean.size} numbers and a matrix {list(matrix.shape)}"
        raise SettingError(FLAG, f"{' and '.join(names)} hold {found}; {what} has {sizes[0]} and {list(sizes)}.", folder)
    return mean.reshape(-1), matrix


def read_matrix(path: pathlib.Path) -> np.ndarray:
    """The matrix in a file of MediaPipe's message MatrixData (mediapipe/framework/formats/matrix_data.proto). float32."""
    data: Any = _matrix_data().FromString(path.read_bytes())
    by_column = data.layout == 0
    return np.array(data.packed_data, np.float32).reshape(data.rows, data.cols, order="F" if by_column else "C")


def _matrix_data():
    """The class of MatrixData, defined here since MediaPipe's Python package does not have it."""
    fields = descriptor_pb2.FieldDescriptorProto
    file = descriptor_pb2.FileDescriptorProto(name="matrix_data.proto", package="mediapipe", syntax="proto2")
    message = file.message_type.add(name="MatrixData")
    for number, name in enumerate(("rows", "cols", "packed_data", "layout"), start=1):
        is_data = name == "packed_data"
        field = message.field.add(name=name, number=number)
        field.type = fields.TYPE_FLOAT if is_data else fields.TYPE_INT32
        field.label = fields.LABEL_REPEATED if is_data else fields.LABEL_OPTIONAL
        field.options.packed = is_data
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName("mediapipe.MatrixData"))

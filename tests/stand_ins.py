"""Writes files of the official extractors with small networks in them, under the names of the real files and tensors."""

import numpy as np
import tensorflow as tf

from youtube8m_distill.features import official_files

GROUPS = ["conv1"], ["conv2"], ["conv3/conv3_1", "conv3/conv3_2"], ["conv4/conv4_1", "conv4/conv4_2"]


def write_inception(folder, seed=0):
    """The graph, whose 2,048 outputs follow from a frame's mean color, and NumPy's files; returns a function that computes
    the same features of frames [N, H, W, 3] in float64."""
    random = np.random.default_rng(seed)
    weights = random.normal(size=(3, 2048)).astype(np.float32)
    mean, vectors = random.normal(size=(2048, 1)), random.normal(size=(2048, 2048)) / 40
    values = np.linspace(9, 0.01, 2048)[:, None]
    with tf.Graph().as_default() as graph:
        frame = tf.raw_ops.DecodeJpeg(contents=tf.constant(b""), name="DecodeJpeg")
        scaled = tf.cast(frame, tf.float32)[None] / 255.0
        tf.reduce_mean(tf.identity(scaled, name="scaled"), axis=(1, 2), name="color")
        color = tf.compat.v1.placeholder(tf.float32, [1, 3], name="normalized")
        tf.reshape(tf.matmul(color, weights), [1, 2048], name="pool_3/_reshape")
    definition = graph.as_graph_def()
    _insert_old_operation(definition)
    (folder / "classify_image_graph_def.pb").write_bytes(definition.SerializeToString())
    np.save(folder / "mean.npy", mean)
    np.save(folder / "eigenvals.npy", values)
    np.save(folder / "eigenvecs.npy", vectors)

    def expected(frames):
        pooled = frames.astype(np.float64).mean(axis=(1, 2)) / 255 @ weights
        projected = (pooled - mean[:, 0]) @ vectors.T[:, :1024]
        return projected / np.sqrt(values[:1024, 0] + 1e-4)

    return expected


def _insert_old_operation(definition):
    """Replaces the placeholder by a normalization that changes nothing, of the kind that the graph of 2015 has.

    TensorFlow runs this operation only in graphs of this age.
    """
    definition.versions.producer = 8
    nodes = {node.name: node for node in definition.node}
    for name, value in (("zeros", 0.0), ("ones", 1.0)):
        constant = definition.node.add(name=name, op="Const")
        constant.attr["dtype"].type = tf.float32.as_datatype_enum
        constant.attr["value"].tensor.CopyFrom(tf.make_tensor_proto(np.full(3, value, np.float32)))
    old = definition.node.add(name="old", op="BatchNormWithGlobalNormalization")
    old.input.extend(["scaled", "zeros", "ones", "zeros", "ones"])  # mean, variance, beta, gamma
    old.attr["T"].type = tf.float32.as_datatype_enum
    old.attr["variance_epsilon"].f = 1e-12
    old.attr["scale_after_normalization"].b = False
    nodes["color"].input[0] = "old"
    definition.node.remove(nodes["normalized"])
    product = next(node for node in definition.node if node.op == "MatMul")
    product.input[0] = "color"


def write_matrix(path, matrix, by_column=True):
    """A file of MediaPipe's MatrixData."""
    order = "F" if by_column else "C"
    data = official_files._matrix_data()(rows=matrix.shape[0], cols=matrix.shape[1], layout=0 if by_column else 1)
    data.packed_data.extend(matrix.flatten(order))
    path.write_bytes(data.SerializeToString())


def vggish_weights(seed=0):
    """Weights of a VGGish with few channels: name of the variable -> array."""
    random = np.random.default_rng(seed)
    shapes, channels = {}, 1
    for names, size in zip(GROUPS, (2, 3, 4, 5)):
        for name in names:
            shapes[name], channels = (3, 3, channels, size), size
    shapes |= {"fc1/fc1_1": (6 * 4 * channels, 7), "fc1/fc1_2": (7, 8), "fc2": (8, 128)}
    found = {}
    for name, shape in shapes.items():
        found[f"vggish/{name}/weights"] = random.normal(size=shape).astype(np.float32) / np.sqrt(np.prod(shape[:-1]))
        found[f"vggish/{name}/biases"] = random.normal(size=shape[-1:]).astype(np.float32)
    return found


def write_vggish(folder, seed=0):
    """AudioSet's files: a checkpoint of the first version, as the real one, and the projection; returns the weights."""
    weights, random = vggish_weights(seed), np.random.default_rng(seed)
    with tf.Graph().as_default():
        variables = [tf.compat.v1.get_variable(name, initializer=value) for name, value in weights.items()]
        saver = tf.compat.v1.train.Saver(variables, write_version=tf.compat.v1.train.SaverDef.V1)
        with tf.compat.v1.Session() as session:
            session.run(tf.compat.v1.global_variables_initializer())
            saver.save(session, str(folder / "vggish_model.ckpt"), write_meta_graph=False, write_state=False)
    np.savez(
        folder / "vggish_pca_params.npz",
        pca_eigen_vectors=random.normal(size=(128, 128)) / 11,
        pca_means=random.normal(size=(128, 1)),
    )
    return weights


def embed(patches, weights):
    """The embeddings of log-mel patches [N, 96, 64] by a VGGish, computed by Keras' layers. [N, 128]."""
    import keras

    values = keras.ops.convert_to_tensor(np.asarray(patches, np.float32)[..., None])

    def apply(layer, name, values):
        layer.build(values.shape)
        layer.set_weights([weights[f"vggish/{name}/weights"], weights[f"vggish/{name}/biases"]])
        return layer(values)

    for names in GROUPS:
        for name in names:
            filters = weights[f"vggish/{name}/biases"].size
            values = apply(keras.layers.Conv2D(filters, 3, padding="same", activation="relu"), name, values)
        values = keras.layers.MaxPooling2D(2, padding="same")(values)
    values = keras.layers.Flatten()(values)
    for name in ("fc1/fc1_1", "fc1/fc1_2"):
        values = apply(keras.layers.Dense(weights[f"vggish/{name}/biases"].size, activation="relu"), name, values)
    return np.asarray(apply(keras.layers.Dense(128), "fc2", values))


def write_vggish_graph(folder, weights):
    """MediaPipe's frozen graph of the last layer, on the mean of each band."""
    with tf.Graph().as_default() as graph:
        patches = tf.compat.v1.placeholder(tf.float32, [None, 96, 64], name="vggish/input_features")
        tf.nn.bias_add(tf.reduce_mean(patches, axis=1) @ weights, tf.zeros(128), name="vggish/fc2/BiasAdd")
    (folder / "vggish_new.pb").write_bytes(graph.as_graph_def().SerializeToString())

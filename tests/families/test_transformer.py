import keras
import numpy as np
import pytest
import tensorflow as tf

from tests import networks, oracles
from youtube8m_distill import config
from youtube8m_distill.errors import SettingError
from youtube8m_distill.families.transformer import encoder as transformer

SIZE = 5
COUNTS = np.array([6, 4, 1, 0])
FRAMES = np.random.default_rng(0).normal(size=(4, 6, SIZE)).astype(np.float32)
INDICES = np.array([[0, 7, 31, 100, 250, 299], [2, 3, 5, 8, -1, -1], [40, -1, -1, -1, -1, -1], [-1] * 6])
OF_BLOCK = ("attention_norm", "queries_keys_values", "merge", "mlp_norm", "expand", "contract")


def encoder(num_layers=2, width=8, num_heads=2, size=SIZE, **options):
    layer = transformer.TransformerEncoder(num_layers, width, num_heads, **options)
    layer.build((None, None, size))
    random = np.random.default_rng(1)
    layer.set_weights([random.normal(0, 0.5, weight.shape) for weight in layer.weights])
    return layer


def oracle_weights(layer):
    def of(part, names):
        return {name: [np.asarray(values, np.float64) for values in getattr(part, name).get_weights()] for name in names}

    blocks = [of(block, OF_BLOCK) for block in layer.blocks]
    return {**of(layer, ("input_projection", "output_norm", "query")), "blocks": blocks}


def encodings_by_oracle(weights, num_heads, frames=FRAMES):
    videos = zip(frames.astype(np.float64), COUNTS, INDICES)
    return np.array([oracles.transformer_encoding(weights, x[:n], places[:n], num_heads) for x, n, places in videos])


@pytest.mark.parametrize("num_layers, width, num_heads", [(2, 8, 2), (1, 6, 6), (3, 4, 1)])
def test_encodings_equal_the_oracle(num_layers, width, num_heads):
    layer = encoder(num_layers, width, num_heads)
    found = layer(FRAMES, COUNTS, frame_indices=INDICES)
    assert found.shape == (4, width) and layer.encoding_size == width
    np.testing.assert_allclose(found, encodings_by_oracle(oracle_weights(layer), num_heads), rtol=1e-4, atol=1e-5)


def test_gradients_equal_those_of_the_oracle():
    layer = encoder(1, 4, 2, size=2)
    frames, slopes = FRAMES[:, :, :2], np.random.default_rng(2).normal(size=(4, 4))
    with tf.GradientTape() as tape:
        loss = tf.reduce_sum(layer(frames, COUNTS, training=True, frame_indices=INDICES) * slopes.astype(np.float32))
    found = tape.gradient(loss, layer.trainable_variables)
    weights = oracle_weights(layer)
    by_content = {np.float32(array).tobytes(): array for array in tf.nest.flatten(weights)}
    arrays = [by_content[np.asarray(variable).tobytes()] for variable in layer.trainable_variables]
    expected = oracles.numerical_gradients(lambda _: np.sum(encodings_by_oracle(weights, 2, frames) * slopes), arrays)
    for variable, gradient, slope in zip(layer.trainable_variables, found, expected):
        assert np.any(slope != 0), variable.path
        np.testing.assert_allclose(gradient, slope, rtol=1e-3, atol=1e-4, err_msg=variable.path)


@pytest.mark.parametrize("index", [0, 1, 299, 9_999])
def test_the_time_of_a_frame_equals_the_oracle(index):
    (found,) = transformer.sinusoids(np.array([[index]]), 8)
    np.testing.assert_allclose(found[0], oracles.time_encoding(index, 8), atol=1e-3)


def test_each_second_of_a_video_has_its_own_encoding():
    rows = np.asarray(transformer.sinusoids(np.arange(300)[None], 64)[0])
    distances = np.linalg.norm(rows[:, None] - rows[None], axis=-1)
    assert distances[~np.eye(300, dtype=bool)].min() > 0.5


def test_a_frame_has_the_same_position_among_few_and_among_all_frames():
    layer, all_frames = encoder(), np.random.default_rng(3).normal(size=(1, 300, SIZE)).astype(np.float32)
    kept = np.array([[0, 30, 77, 299]])
    whole = np.asarray(layer.embed(all_frames, np.arange(300)[None]))
    few = np.asarray(layer.embed(all_frames[:, kept[0]], kept))
    np.testing.assert_allclose(few, whole[:, kept[0]], rtol=0, atol=1e-6)
    assert np.abs(few - np.asarray(layer.embed(all_frames[:, kept[0]]))).max() > 0.1


def test_without_indices_the_frames_are_the_first_of_the_video():
    layer, first = encoder(), np.tile(np.arange(6), (4, 1))
    np.testing.assert_array_equal(layer(FRAMES, COUNTS), layer(FRAMES, COUNTS, frame_indices=first))


def test_the_order_of_frames_matters_only_by_their_indices():
    layer, turned, places = encoder(), FRAMES.copy(), INDICES.copy()
    for video, count in enumerate(COUNTS):
        order = np.random.default_rng(video).permutation(count)
        turned[video, :count], places[video, :count] = FRAMES[video, order], INDICES[video, order]
    assert not np.array_equal(turned, FRAMES)
    same, before = layer(FRAMES, COUNTS, frame_indices=INDICES), layer(turned, COUNTS, frame_indices=places)
    np.testing.assert_allclose(before, same, rtol=1e-4, atol=1e-5)
    other = layer(turned, COUNTS, frame_indices=INDICES)
    assert np.abs(other - same).max(axis=1)[0] > 0.01


@pytest.mark.parametrize("value", [1e3, np.nan, np.inf])
def test_padding_does_not_matter(value):
    layer = encoder()
    dirty = np.where(np.arange(6)[None, :, None] < COUNTS[:, None, None], FRAMES, np.float32(value))
    places = np.where(np.arange(6) < COUNTS[:, None], INDICES, 77)
    found = layer(dirty, COUNTS, training=True, frame_indices=places)
    np.testing.assert_allclose(found, layer(FRAMES, COUNTS, frame_indices=INDICES), rtol=1e-5, atol=1e-6)


def test_a_video_without_frames_gives_zeros_and_finite_gradients():
    layer = encoder()
    for counts in (COUNTS, np.zeros(4, np.int32)):
        with tf.GradientTape() as tape:
            encoding = layer(FRAMES, counts, training=True)
            loss = tf.reduce_sum(tf.square(encoding))
        gradients = tape.gradient(loss, layer.trainable_variables)
        assert not np.any(encoding[3])
        assert all(gradient is not None and np.all(np.isfinite(gradient)) for gradient in gradients)


def test_bfloat16_encodings_stay_near_the_exact_ones():
    rounded, exact = encoder(dtype="mixed_bfloat16"), encoder()
    found = rounded(keras.ops.cast(FRAMES, "bfloat16"), COUNTS, frame_indices=INDICES)
    assert found.dtype == "bfloat16"
    np.testing.assert_allclose(
        keras.ops.cast(found, "float32"), exact(FRAMES, COUNTS, frame_indices=INDICES), rtol=0, atol=0.1
    )


def test_times_are_not_rounded_to_bfloat16():
    rounded, frames = encoder(dtype="mixed_bfloat16"), np.zeros((1, 2, SIZE), np.float32)
    near = np.asarray(keras.ops.cast(rounded.embed(frames, np.array([[298, 299]])), "float32"))[0]
    assert np.abs(near[0] - near[1]).max() > 0.1  # in bfloat16, both are 298


@pytest.mark.parametrize("num_frames", [1, 7, 10])
def test_multiply_adds_are_those_of_the_matrix_products_in_the_graph(num_frames):
    layer = encoder()
    function = tf.function(lambda x: layer(x, tf.constant([num_frames])))
    graph = function.get_concrete_function(tf.TensorSpec([1, num_frames, SIZE])).graph
    assert layer.multiply_adds(num_frames) == sum(map(products, all_operations(graph)))


def all_operations(graph):
    inner = [function.graph for function in graph._functions.values()]  # pyright: ignore[reportAttributeAccessIssue]
    return [*graph.get_operations(), *(operation for part in inner for operation in part.get_operations())]


def products(operation):
    """Multiply-adds of an operation of a graph; 0 if it is not a matrix product."""
    if operation.type not in ("MatMul", "BatchMatMulV2", "Einsum"):
        return 0
    assert operation.type != "Einsum"
    left, right = (value.shape for value in operation.inputs)
    transposed = operation.get_attr("transpose_b" if operation.type == "MatMul" else "adj_y")
    return int(np.prod(left)) * int(right[-2 if transposed else -1])


def test_the_default_size_has_the_expected_number_of_weights():
    with keras.StatelessScope(initialize_variables=False):
        layer = transformer.TransformerEncoder()
        layer.build((None, None, 1152))
    norm, mlp = 2 * 512, 512 * 2048 + 2048 + 2048 * 512 + 512
    block = 2 * norm + 512 * 3 * 512 + 512 * 512 + 512 + mlp
    assert layer.count_params() == 1152 * 512 + 512 + 4 * block + norm + 512


def test_a_layer_is_restored_from_its_config():
    layer = transformer.TransformerEncoder(3, 12, 4, dtype="mixed_bfloat16", name="reader")
    copy = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(layer))
    assert (len(copy.blocks), copy.width, copy.blocks[0].num_heads, copy.name) == (3, 12, 4, "reader")
    assert copy.dtype_policy.name == copy.blocks[0].dtype_policy.name == "mixed_bfloat16"


@pytest.mark.parametrize(
    "options, message",
    [
        ({"transformer_width": 10, "transformer_heads": 4}, "transformer_heads=4: must divide transformer_width=10"),
        ({"transformer_width": 9, "transformer_heads": 3}, "transformer_width=9: must be even"),
        ({"transformer_layers": 0}, "transformer_layers=0: choose a value from 1 to 32"),
    ],
)
def test_sizes_that_do_not_fit_are_an_error(options, message):
    with pytest.raises(SettingError, match=message):
        config.network_config("TransformerModel", **options)


@pytest.mark.parametrize("arguments, message", [((1, 10, 4), "must divide width=10"), ((1, 9, 3), "width=9 must be even")])
def test_sizes_that_do_not_fit_are_an_error_of_the_layer_too(arguments, message):
    with pytest.raises(ValueError, match=message):
        transformer.TransformerEncoder(*arguments)


def test_a_float_frame_index_is_not_rounded_to_bfloat16():
    network = networks.frame_level("TransformerModel", view=config.FrameView())
    model, batch = networks.build(network, dtype="mixed_bfloat16"), networks.batch(network, (3,))
    places = np.arange(297, 597, dtype=np.int32)[None]
    given = [{**batch, "frame_indices": places.astype(kind)} for kind in ("int32", "float32")]
    found = [networks.outputs(model, one)["predictions"] for one in given]
    np.testing.assert_array_equal(*found)

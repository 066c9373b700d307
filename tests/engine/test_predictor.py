import threading

import numpy as np
import pytest
import tensorflow as tf

from tests import oracles, tiny_training
from youtube8m_distill.engine import predictor as predict
from youtube8m_distill.engine.predictor import Predictor, evaluate
from youtube8m_distill.engine.strategy import make_strategy
from youtube8m_distill.metrics.evaluate import Evaluator

DATA = {name: values for name, values in tiny_training.flat(tiny_training.videos(11)).items() if name != "epoch"}
DATA["video_id"] = np.array([f"vid{i}".encode() for i in range(11)])
START = [np.random.default_rng(0).normal(size=shape) for shape in ((9, 4), (4, 5), (5,))]


def _dataset(count, batch_size):
    return tf.data.Dataset.from_tensor_slices({name: values[:count] for name, values in DATA.items()}).batch(batch_size)


def _predictor(devices, **settings):
    strategy = make_strategy(devices=devices)
    with strategy.scope():
        network = tiny_training.network(dropout=0.5)
    network.set_weights(START)
    return Predictor(network, strategy, **settings)


@pytest.fixture(scope="module", params=[None, tiny_training.TWO_CPUS], ids=["one replica", "two replicas"])
def predictor(request):
    return _predictor(request.param, top_k=3, keep_predictions=True)


@pytest.mark.parametrize("count, batch_size", [(11, 4), (9, 4), (8, 4), (1, 4), (3, 3), (5, 1)])
def test_every_video_comes_once_in_order_with_its_own_numbers(predictor, count, batch_size):
    found = list(predictor(_dataset(count, batch_size)))
    sizes = [min(batch_size, count - start) for start in range(0, count, batch_size)]
    assert [len(batch.video_ids) for batch in found] == sizes
    joined = {
        name: np.concatenate([getattr(batch, name) for batch in found])
        for name in found[0]._fields
        if getattr(found[0], name) is not None
    }
    assert joined["video_ids"].tolist() == DATA["video_id"][:count].tolist()
    np.testing.assert_array_equal(joined["labels"], DATA["labels"][:count])
    assert joined["finite"].tolist() == [True] * count
    for i in range(count):
        predictions = oracles.tiny_network(START, DATA["frames"][i], DATA["num_frames"][i])["predictions"]
        best = oracles.ordered_classes(predictions)[:3]
        np.testing.assert_allclose(joined["predictions"][i], predictions, rtol=1e-5)
        np.testing.assert_allclose(joined["scores"][i], predictions[best], rtol=1e-5)
        assert joined["classes"][i].tolist() == best
        np.testing.assert_allclose(joined["losses"][i], oracles.label_loss(DATA["labels"][i], predictions), rtol=1e-4)
        np.testing.assert_allclose(joined["perr"][i], oracles.starter_perr(DATA["labels"][i], predictions), rtol=1e-5)


def test_one_predictor_serves_many_data_sets_and_sees_the_weights_of_now(predictor):
    (first,) = predictor(_dataset(4, 4))
    predictor.network.set_weights([-weight for weight in START])
    (other,) = predictor(_dataset(4, 4))
    predictor.network.set_weights(START)
    (again,) = predictor(_dataset(4, 4))
    assert np.abs(first.predictions - other.predictions).max() > 0.1
    np.testing.assert_array_equal(first.predictions, again.predictions)


def test_more_classes_than_there_are_are_all_of_them():
    (batch,) = _predictor(None, top_k=20)(_dataset(3, 3))
    assert batch.classes.shape == batch.scores.shape == (3, tiny_training.NUM_CLASSES)
    assert sorted(batch.classes[0]) == list(range(tiny_training.NUM_CLASSES)) and batch.predictions is None


def test_evaluation_hands_every_video_to_the_evaluator(predictor):
    found = evaluate(predictor(_dataset(11, 4)), Evaluator(tiny_training.NUM_CLASSES, top_k=3))
    predictions = np.array(
        [
            oracles.tiny_network(START, frames, count)["predictions"]
            for frames, count in zip(DATA["frames"], DATA["num_frames"])
        ]
    )
    losses = [oracles.label_loss(*pair) for pair in zip(DATA["labels"], predictions)]
    assert found["loss"] == pytest.approx(np.mean(losses), rel=1e-5)
    assert found["gap_at_3"] == pytest.approx(oracles.gap(DATA["labels"], predictions, 3), rel=1e-5)


def test_without_metrics_nobody_looks_at_labels(monkeypatch):
    (expected,) = _predictor(None, top_k=3)(_dataset(4, 4))

    def refuse(*arguments):
        raise AssertionError("computed for nothing")

    monkeypatch.setattr(predict, "perr", refuse)
    monkeypatch.setattr(predict, "label_loss", refuse)
    (found,) = _predictor(None, top_k=3, for_metrics=False)(_dataset(4, 4))
    np.testing.assert_array_equal(found.classes, expected.classes)
    np.testing.assert_array_equal(found.scores, expected.scores)
    assert found.labels is found.losses is found.perr is found.predictions is None


def test_what_is_known_of_the_records_passes_by_the_network(predictor):
    about = {
        "shard": np.arange(11, dtype=np.int32),
        "record": np.arange(11) * 2,
        "num_stored_frames": np.full(11, 301, np.int32),
    }
    (plain,) = predictor(_dataset(4, 4))
    (found,) = predictor(tf.data.Dataset.from_tensor_slices({**DATA, **about}).take(4).batch(4))
    assert plain.shards is plain.records is plain.num_stored_frames is None
    assert (found.shards.tolist(), found.records.tolist()) == ([0, 1, 2, 3], [0, 2, 4, 6])
    assert found.num_stored_frames.tolist() == [301] * 4
    np.testing.assert_array_equal(found.scores, plain.scores)


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_a_prediction_that_is_no_number_is_told_wherever_it_ranks(monkeypatch, bad):
    predictor = _predictor(None, top_k=1)
    predictions = np.full((3, tiny_training.NUM_CLASSES), 0.5, np.float32)
    predictions[1, -1] = bad
    monkeypatch.setattr(predictor, "network", lambda batch, training: {"predictions": tf.constant(predictions)})
    predictor.network.num_classes = tiny_training.NUM_CLASSES
    assert next(iter(predictor(_dataset(3, 3)))).finite.tolist() == [True, False, True]


def _operations(predictor):
    (function,) = predictor._run._list_all_concrete_functions()
    return [
        operation.type
        for graph in (function.graph, *function.graph._functions.values())
        for operation in getattr(graph, "graph", graph).get_operations()
    ]


@pytest.mark.parametrize("for_metrics", [True, False])
def test_the_best_classes_are_searched_for_once(for_metrics):
    predictor = _predictor(None, top_k=3, for_metrics=for_metrics)
    list(predictor(_dataset(4, 4)))
    assert sum(operation.startswith("TopK") for operation in _operations(predictor)) == 1


def test_full_and_short_batches_of_any_size_are_one_compilation():
    predictor = _predictor(None)
    for count, batch_size in ((11, 4), (5, 5), (9, 2)):
        assert sum(len(batch.video_ids) for batch in predictor(_dataset(count, batch_size))) == count
    assert predictor._run.experimental_get_tracing_count() == 1


def test_the_next_batch_is_computed_while_the_caller_has_this_one():
    seen, started = [], threading.Event()

    def note(item):
        seen.append(item)
        if item == 1:
            started.set()
        return item

    found = predict._one_ahead(note, range(3))
    assert next(found) == 0 and started.wait(10)
    assert list(found) == [1, 2] and seen == [0, 1, 2]


def test_an_error_comes_where_its_batch_would():
    found = predict._one_ahead(lambda item: 1 // item, [2, 1, 0])
    assert [next(found), next(found)] == [0, 1]
    with pytest.raises(ZeroDivisionError):
        next(found)

import threading

import numpy as np
import pytest
import tensorflow as tf

from tests import oracles, tiny_training
from youtube8m_distill.engine import predictor as predict
from youtube8m_distill.engine.predictor import BEFORE, BestClasses, Predictor, evaluate
from youtube8m_distill.engine.strategy import make_strategy
from youtube8m_distill.metrics.calibration import Calibration
from youtube8m_distill.metrics.evaluate import Evaluator

DATA = {name: values for name, values in tiny_training.flat(tiny_training.videos(11)).items() if name != "epoch"}
DATA["video_id"] = np.array([f"vid{i}".encode() for i in range(11)])
START = [np.random.default_rng(0).normal(size=shape) for shape in ((9, 4), (4, 5), (5,))]


def _dataset(count, batch_size):
    return tf.data.Dataset.from_tensor_slices(tf.nest.map_structure(lambda values: values[:count], DATA)).batch(batch_size)


def _predictor(devices, **options):
    strategy = make_strategy(devices=devices)
    with strategy.scope():
        network = tiny_training.network(dropout=0.5)
    network.set_weights(START)
    return Predictor(network, strategy=strategy, outputs=BestClasses(**options))


@pytest.fixture(scope="module", params=[None, tiny_training.TWO_CPUS], ids=["one replica", "two replicas"])
def predictor(request):
    return _predictor(request.param, top_k=3, keep_predictions=True)


def _expected(video):
    return oracles.tiny_network(START, DATA["teacher"]["frames"][video], DATA["teacher"]["num_frames"][video])["predictions"]


@pytest.mark.parametrize("count, batch_size", [(11, 4), (8, 4), (1, 4), (5, 1)])
def test_every_video_comes_once_in_order_with_its_own_values(predictor, count, batch_size):
    found = list(predictor(_dataset(count, batch_size)))
    sizes = [min(batch_size, count - start) for start in range(0, count, batch_size)]
    assert [len(batch["video_id"]) for batch in found] == sizes
    joined = {name: np.concatenate([batch[name] for batch in found]) for name in found[0]}
    assert joined["video_id"].tolist() == DATA["video_id"][:count].tolist()
    np.testing.assert_array_equal(joined["labels"], DATA["labels"][:count])
    assert joined["finite"].tolist() == [True] * count
    for i in range(count):
        predictions = _expected(i)
        best = oracles.ordered_classes(predictions)[:3]
        np.testing.assert_allclose(joined["predictions"][i], predictions, rtol=1e-5)
        np.testing.assert_allclose(joined["scores"][i], predictions[best], rtol=1e-5)
        assert joined["classes"][i].tolist() == best
        np.testing.assert_allclose(joined["losses"][i], oracles.label_loss(DATA["labels"][i], predictions), rtol=1e-4)
        np.testing.assert_allclose(joined["perr"][i], oracles.starter_perr(DATA["labels"][i], predictions), rtol=1e-5)


def test_a_predictor_uses_the_current_weights(predictor):
    (first,) = predictor(_dataset(4, 4))
    predictor.network.set_weights([-weight for weight in START])
    (other,) = predictor(_dataset(4, 4))
    predictor.network.set_weights(START)
    (again,) = predictor(_dataset(4, 4))
    assert np.abs(first["predictions"] - other["predictions"]).max() > 0.1
    np.testing.assert_array_equal(first["predictions"], again["predictions"])


def test_top_k_beyond_the_number_of_classes_gives_all_classes():
    (batch,) = _predictor(None, top_k=20)(_dataset(3, 3))
    assert batch["classes"].shape == batch["scores"].shape == (3, tiny_training.NUM_CLASSES)
    assert sorted(batch["classes"][0]) == list(range(tiny_training.NUM_CLASSES)) and "predictions" not in batch


def test_evaluate_passes_every_video_to_the_evaluator(predictor):
    found = evaluate(predictor(_dataset(11, 4)), Evaluator(tiny_training.NUM_CLASSES, top_k=3))
    predictions = np.array([_expected(video) for video in range(11)])
    losses = [oracles.label_loss(*pair) for pair in zip(DATA["labels"], predictions)]
    assert found["loss"] == pytest.approx(np.mean(losses), rel=1e-5)
    assert found["gap_at_3"] == pytest.approx(oracles.gap(DATA["labels"], predictions, 3), rel=1e-5)


def test_labels_are_not_read_without_metrics(monkeypatch):
    (expected,) = _predictor(None, top_k=3)(_dataset(4, 4))
    monkeypatch.setattr(predict, "perr", lambda *_: pytest.fail("computed for nothing"))
    monkeypatch.setitem(predict.LABEL_LOSSES, "CrossEntropyLoss", lambda *_: pytest.fail("computed for nothing"))
    (found,) = _predictor(None, top_k=3, for_metrics=False)(_dataset(4, 4))
    np.testing.assert_array_equal(found["classes"], expected["classes"])
    np.testing.assert_array_equal(found["scores"], expected["scores"])
    assert not {"labels", "losses", "perr", "predictions"} & set(found)


def test_facts_about_the_records_are_passed_on(predictor):
    about = {
        "shard": np.arange(11, dtype=np.int32),
        "record": np.arange(11) * 2,
        "stored_frames": np.full(11, 301, np.int32),
    }
    (plain,) = predictor(_dataset(4, 4))
    (found,) = predictor(tf.data.Dataset.from_tensor_slices({**DATA, **about}).take(4).batch(4))
    assert not set(about) & set(plain)
    assert (found["shard"].tolist(), found["record"].tolist()) == ([0, 1, 2, 3], [0, 2, 4, 6])
    assert found["stored_frames"].tolist() == [301] * 4
    np.testing.assert_array_equal(found["scores"], plain["scores"])


@pytest.mark.parametrize("bad", [np.nan, np.inf])
@pytest.mark.parametrize("combines", [False, True])
def test_a_prediction_that_is_not_finite_is_reported_at_any_rank(monkeypatch, bad, combines):
    predictor = _predictor(None, top_k=1, calibration=Calibration(0.5, 0.0, 0.3 * combines))
    predictions = np.full((3, tiny_training.NUM_CLASSES), 0.5, np.float32)
    predictions[1, -1] = bad
    monkeypatch.setattr(predictor, "network", lambda batch, training: {"predictions": tf.constant(predictions)})
    before = {BEFORE: np.full((11, tiny_training.NUM_CLASSES), 0.5, np.float32)} if combines else {}
    batches = tf.data.Dataset.from_tensor_slices(DATA | before).take(3).batch(3)
    assert next(iter(predictor(batches)))["finite"].tolist() == [True, False, True]


def _operations(predictor):
    (function,) = predictor._run._list_all_concrete_functions()
    return [
        operation.type
        for graph in (function.graph, *function.graph._functions.values())
        for operation in getattr(graph, "graph", graph).get_operations()
    ]


@pytest.mark.parametrize("for_metrics", [True, False])
def test_there_is_only_one_search_for_the_best_classes(for_metrics):
    predictor = _predictor(None, top_k=3, for_metrics=for_metrics)
    list(predictor(_dataset(4, 4)))
    assert sum(operation.startswith("TopK") for operation in _operations(predictor)) == 1


def test_batches_of_all_sizes_share_one_compilation():
    predictor = _predictor(None)
    for count, batch_size in ((11, 4), (5, 5), (9, 2)):
        assert sum(len(batch["video_id"]) for batch in predictor(_dataset(count, batch_size))) == count
    assert predictor._run.experimental_get_tracing_count() == 1


def test_the_next_batch_is_computed_while_the_caller_uses_this_one():
    seen, started = [], threading.Event()

    def note(item):
        seen.append(item)
        if item == 1:
            started.set()
        return item

    found = predict.one_ahead(note, range(3))
    assert next(found) == 0 and started.wait(10)
    assert list(found) == [1, 2] and seen == [0, 1, 2]


def test_an_error_is_raised_at_its_batch():
    found = predict.one_ahead(lambda item: 1 // item, [2, 1, 0])
    assert [next(found), next(found)] == [0, 1]
    with pytest.raises(ZeroDivisionError):
        next(found)

import numpy as np
import pytest
import tensorflow as tf

from tests.tiny_training import TWO_CPUS
from youtube8m_distill.engine import strategy as strategies
from youtube8m_distill.errors import SettingError
from youtube8m_distill.layers import replicas
from youtube8m_distill.schemes.scheme import mean_over_global_batch


@pytest.fixture(scope="module")
def two_replicas():
    return strategies.make_strategy(devices=TWO_CPUS)


def _per_replica(strategy, values):
    return strategy.experimental_distribute_values_from_function(
        lambda context: tf.constant(values[context.replica_id_in_sync_group])
    )


def test_without_gpus_the_cpu_is_used():
    for strategy in (strategies.make_strategy(), strategies.make_strategy(num_gpu=0)):
        assert strategy.num_replicas_in_sync == 1
        assert "CPU:0" in strategy.extended.worker_devices[0].upper()


@pytest.mark.parametrize("num_gpu", [1, -1])
def test_more_gpus_than_there_are_are_refused(num_gpu):
    with pytest.raises(SettingError, match=rf"^num_gpu={num_gpu}: TensorFlow sees 0 GPU\(s\)"):
        strategies.make_strategy(num_gpu=num_gpu)


def test_two_devices_make_two_replicas(two_replicas):
    assert two_replicas.num_replicas_in_sync == 2


def test_rows_gathered_over_replicas_are_in_order_and_get_the_gradients_of_all_replicas(two_replicas):
    rows = np.float32([[[1, 2], [3, 4], [5, 6]], [[7, 8], [9, 10], [11, 12]]])
    weights = np.random.default_rng(0).normal(size=(2, 6, 2)).astype(np.float32)  # of each replica, for all rows

    def step(own, of_loss):
        with tf.GradientTape() as tape:
            tape.watch(own)
            (everything,) = replicas.gather_over_replicas([own])
            loss = tf.reduce_sum(of_loss * everything**2)
        return everything, replicas.own_rows(everything, 3), tape.gradient(loss, own)

    shares = [_per_replica(two_replicas, values) for values in (rows, weights)]
    gathered, own, gradients = map(two_replicas.experimental_local_results, two_replicas.run(step, shares))
    for replica in range(2):
        np.testing.assert_array_equal(gathered[replica], rows.reshape(6, 2))
        np.testing.assert_array_equal(own[replica], rows[replica])
        expected = 2 * rows[replica] * weights.sum(axis=0)[3 * replica : 3 * replica + 3]
        np.testing.assert_allclose(gradients[replica], expected, rtol=1e-6)


def test_on_one_replica_the_rows_are_unchanged():
    (rows,) = replicas.gather_over_replicas([tf.constant([[1.0], [2.0]])])
    np.testing.assert_array_equal(replicas.own_rows(rows, 2), [[1.0], [2.0]])


def test_the_means_of_two_replicas_add_up_to_the_mean_of_the_global_batch(two_replicas):
    values = _per_replica(two_replicas, [[1.0, 2.0], [3.0, 10.0]])
    means = two_replicas.run(mean_over_global_batch, (values,))
    parts = [float(part) for part in two_replicas.experimental_local_results(means)]
    assert parts == [0.75, 3.25] and sum(parts) == np.mean([1, 2, 3, 10])


def test_on_one_replica_the_mean_is_the_mean():
    assert float(mean_over_global_batch(tf.constant([1.0, 2.0, 6.0]))) == 3.0


def test_every_replica_gets_the_sum_of_all(two_replicas):
    values = _per_replica(two_replicas, [[1.0, 2.0], [30.0, 40.0]])
    first, second = two_replicas.run(lambda x: replicas.sum_over_replicas([x, 2 * x]), (values,))
    for sums, expected in ((first, [31.0, 42.0]), (second, [62.0, 84.0])):
        for part in two_replicas.experimental_local_results(sums):
            np.testing.assert_array_equal(part, expected)


@pytest.mark.parametrize("batch_size, better", [(7, 6), (1, 2)])
def test_a_batch_size_that_is_not_a_multiple_of_the_replicas_is_refused(two_replicas, batch_size, better):
    message = rf"^batch_size={batch_size}: is not a multiple of the 2 replicas; try {better}\."
    with pytest.raises(ValueError, match=message):
        strategies.check_batch_size(batch_size, two_replicas)


def test_a_batch_size_that_is_a_multiple_of_the_replicas_is_accepted(two_replicas):
    strategies.check_batch_size(6, two_replicas)
    strategies.check_batch_size(7, strategies.make_strategy())


def test_a_single_machine_is_the_chief_and_waits_for_nobody(two_replicas):
    for strategy, count in ((strategies.make_strategy(), 1), (two_replicas, 2)):
        assert strategies.machine(strategy) == (0, 1) and strategies.is_chief(strategy)
        assert strategies.local_replicas(strategy) == count
        strategies.wait_for_all(strategy)
        with strategies.chief_first(strategy):
            pass


def test_replicas_know_their_index(two_replicas):
    places = two_replicas.run(tf.function(replicas.replica_index))
    assert [int(place) for place in two_replicas.experimental_local_results(places)] == [0, 1]
    assert int(replicas.replica_index()) == 0
    with two_replicas.scope():
        assert int(replicas.replica_index()) == 0


@pytest.mark.parametrize("hidden, num_gpu, warned", [(None, None, True), ("-1", None, False), (None, 0, False)])
def test_a_driver_without_a_gpu_in_tensorflow_is_told(monkeypatch, tmp_path, caplog, hidden, num_gpu, warned):
    (tmp_path / "nvidia-smi").write_text("#!/bin/sh\n")
    (tmp_path / "nvidia-smi").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    if hidden is not None:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", hidden)
    strategies.make_strategy(num_gpu)
    assert ("TensorFlow sees no GPU, so the CPU is used." in caplog.text) == warned
    assert ("tensorflow[and-cuda]" in caplog.text) == warned

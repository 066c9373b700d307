import json
import logging
import socket
import threading
import time

import pytest
import tensorflow as tf

from youtube8m_distill.engine import cluster as clusters
from youtube8m_distill.engine.cluster import Cluster, read_cluster

THREE = {"cluster": {"chief": ["a:1"], "worker": ["b:2", "c:3"]}}


def read(value):
    return read_cluster({"TF_CONFIG": value if isinstance(value, str) else json.dumps(value)})


def test_without_tf_config_there_is_one_machine():
    assert read_cluster({}) is None
    assert [read(text) for text in ("", " ", "{}", '{"cluster": {}}', '{"environment": "cloud"}')] == [None] * 5


def test_a_cluster_of_one_is_one_machine():
    assert read({"cluster": {"chief": ["a:1"]}, "task": {"type": "chief", "index": 0}}) is None


@pytest.mark.parametrize("kind, index, expected", [("chief", 0, 0), ("worker", 0, 1), ("worker", 1, 2), ("worker", "1", 2)])
def test_the_chief_comes_before_the_workers(kind, index, expected):
    assert read({**THREE, "task": {"type": kind, "index": index}}) == Cluster(("a:1", "b:2", "c:3"), expected)


def test_without_a_chief_the_first_worker_is_the_chief():
    assert read({"cluster": {"worker": ["a:1", "b:2"]}, "task": {"type": "worker", "index": 0}}).index == 0


@pytest.mark.parametrize(
    "value, words",
    [
        ("{", "is not JSON: "),
        ("[1]", "the cluster must be an object"),
        ({"cluster": ["a:1"]}, "the cluster must be an object"),
        (THREE, "type and index of this machine. Received: null"),
        ({**THREE, "task": {"type": "worker"}}, "Received: .*worker"),
        ({**THREE, "task": {"type": "ps", "index": 0}}, "task type 'ps' is not supported; use chief or worker"),
        (
            {**THREE, "task": {"type": "evaluator", "index": 0}},
            "task type 'evaluator' is not .*To evaluate while a job trains, unset TF_CONFIG",
        ),
        ({**THREE, "task": {"type": "worker", "index": 2}}, "the task is worker 2, but the cluster has 2 of"),
        ({**THREE, "task": {"type": "worker", "index": -1}}, "the task is worker -1"),
        ({"cluster": {"worker": ["a:1"], "ps": ["p:1"]}, "task": {"type": "worker", "index": 0}}, "machines of the type ps"),
        ({"cluster": {"worker": "a:1"}, "task": {"type": "worker", "index": 0}}, 'worker must be .* Received: "a:1"'),
        ({"cluster": {"worker": ["a"]}, "task": {"type": "worker", "index": 0}}, r'worker must be .* Received: \["a"\]'),
        ({"cluster": {"worker": ["a:1", "a:1"]}, "task": {"type": "worker", "index": 0}}, "duplicate machines"),
        ({"cluster": {"chief": ["a:1", "b:1"]}, "task": {"type": "chief", "index": 0}}, "two chiefs or duplicate"),
    ],
)
def test_an_invalid_tf_config_is_refused(value, words):
    with pytest.raises(ValueError, match=f"^TF_CONFIG.*{words}"):
        read(value)


def test_a_command_for_one_machine_refuses_several():
    clusters.refuse_cluster({})
    with pytest.raises(ValueError, match="TF_CONFIG names 3 machines, but only training shares its work"):
        clusters.refuse_cluster({"TF_CONFIG": json.dumps({**THREE, "task": {"type": "worker", "index": 0}})})


def free_ports(count):
    with_ports = [socket.create_server(("localhost", 0)) for _ in range(count)]
    ports = [server.getsockname()[1] for server in with_ports]
    for server in with_ports:
        server.close()
    return ports


def call(address, words):
    """Calls the chief once it listens, says something, and hangs up."""
    host, port = address.split(":")

    def called():
        try:
            with socket.create_connection((host, int(port))) as connection:
                connection.sendall(words)
            return True
        except ConnectionRefusedError:
            return False

    wait_until(called)


def wait_until(condition):
    end = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < end, "waited 10 s"
        time.sleep(0.01)


def test_machines_meet_in_any_order_and_lost_ones_do_not_count(monkeypatch, caplog):
    caplog.set_level(logging.INFO)
    monkeypatch.setattr(clusters, "SECONDS_BETWEEN_CALLS", 0.02)
    addresses = tuple(f"localhost:{port}" for port in free_ports(3))
    proceeded = []

    def meet(index):
        place = Cluster(addresses, index)
        if index:
            clusters._meet_chief(place)
        else:
            clusters._meet_workers(place)
        proceeded.append(index)

    threads = {index: threading.Thread(target=meet, args=(index,)) for index in range(3)}
    threads[0].start()
    call(addresses[0], b"hello")  # not a machine of this job
    call(addresses[0], b"1")  # a machine that ends while it waits
    chief = f"Machine 0 ({addresses[0]}), the chief, waits for "
    wait_until(lambda: f"{chief}{addresses[2]}." in caplog.messages)
    wait_until(lambda: caplog.messages[-1] == f"{chief}{addresses[1]}, {addresses[2]}.")
    threads[2].start()
    wait_until(lambda: caplog.messages[-1] == f"{chief}{addresses[1]}.")
    assert proceeded == []
    threads[1].start()
    for thread in threads.values():
        thread.join(10)
    assert sorted(proceeded) == [0, 1, 2]


def test_a_port_in_use_is_named():
    with socket.create_server(("", 0)) as other:
        address = f"localhost:{other.getsockname()[1]}"
        with pytest.raises(OSError, match=f"TF_CONFIG: this machine cannot listen at {address}: Address already in use"):
            clusters._meet_workers(Cluster((address, "b:1"), 0))


@pytest.mark.parametrize(
    "message, who",
    [
        ("Error reported from /job:worker/task:1: unhealthy: /job:worker/replica:0/task:1", r"machine 1 \(b:2\)"),
        ("from /job:worker/task:0: stopped: /job:worker/replica:0/task:2", r"machine 2 \(c:3\)"),
        ("Socket closed", "another machine"),
    ],
)
def test_the_lost_machine_is_named(message, who):

    def fail(text):
        raise SystemExit(text)

    with pytest.raises(SystemExit, match=f"{who} of this job is gone: .* resume from the last checkpoint"):
        with clusters.ending_with_the_job(Cluster(("a:1", "b:2", "c:3"), 0), fail):
            raise tf.errors.UnavailableError(None, None, message)


def test_on_one_machine_the_error_is_raised_unchanged():
    with pytest.raises(tf.errors.UnavailableError):
        with clusters.ending_with_the_job(None, pytest.fail):
            raise tf.errors.UnavailableError(None, None, "a file server")

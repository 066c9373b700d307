"""Several machines: reads `TF_CONFIG`, connects the processes of a job, and ends a job when one of them is lost."""

import contextlib
import json
import logging
import re
import select
import signal
import socket
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

import tensorflow as tf

VARIABLE = "TF_CONFIG"
EXAMPLE = '{"cluster": {"worker": ["host0:2222", "host1:2222"]}, "task": {"type": "worker", "index": 0}}'
KINDS = ("chief", "worker")

GO = b"go"
SECONDS_BETWEEN_CALLS = 0.5

# How collective operations fail when another process of the job is lost.
GONE = (tf.errors.UnavailableError, tf.errors.AbortedError, tf.errors.CancelledError, tf.errors.DeadlineExceededError)

log = logging.getLogger(__name__)


class Cluster(NamedTuple):
    """The machines of one job, and which of them this process is."""

    addresses: tuple[str, ...]  # "host:port" of every machine, the chief first
    index: int  # of this process among them


def read_cluster(environment: Mapping[str, str]) -> Cluster | None:
    """The cluster of `TF_CONFIG`, in TensorFlow's own format; None if that is not set or names only one machine.

    Raises ValueError if it is invalid, or names tasks other than chief and worker.
    """
    text = environment.get(VARIABLE, "").strip() or "{}"
    try:
        found = json.loads(text)
    except ValueError as error:
        raise ValueError(f"{VARIABLE} is not JSON: {error}. An example: {EXAMPLE}") from error
    machines = found.get("cluster") or {} if isinstance(found, dict) else found
    _require(isinstance(machines, dict), f"the cluster must be an object. Received: {text}.")
    if not machines:
        return None
    for kind, addresses in machines.items():
        _require(kind in KINDS, f"machines of the type {kind} are not supported; every machine trains, as chief or worker.")
        is_list = isinstance(addresses, list) and all(re.fullmatch(r".+:\d+", str(address)) for address in addresses)
        _require(is_list, f'{kind} must be a list of "host:port". Received: {json.dumps(addresses)}.')
    task: Any = found.get("task")
    is_complete = isinstance(task, dict) and {"type", "index"} <= task.keys()
    _require(is_complete, f"the task must give the type and index of this machine. Received: {json.dumps(task)}.")
    kind, index = task["type"], str(task["index"])
    advice = f"use chief or worker. To evaluate while a job trains, unset {VARIABLE} for that command."
    _require(kind in KINDS, f"the task type {kind!r} is not supported; {advice}")
    chiefs, workers = (machines.get(name, []) for name in KINDS)
    count = len(machines.get(kind, []))
    exists = index.isdecimal() and int(index) < count
    _require(exists, f"the task is {kind} {index}, but the cluster has {count} of that type, counted from 0.")
    addresses = (*chiefs, *workers)
    are_distinct = len(chiefs) < 2 and len(set(addresses)) == len(addresses)
    _require(are_distinct, f"the cluster has two chiefs or duplicate machines: {', '.join(addresses)}.")
    return Cluster(addresses, int(index) + (len(chiefs) if kind == "worker" else 0)) if len(addresses) > 1 else None


def _require(condition, reason):
    if not condition:
        raise ValueError(f"{VARIABLE}: {reason} An example, with a different index on each machine: {EXAMPLE}")


def refuse_cluster(environment: Mapping[str, str]) -> None:
    """Raises ValueError for several machines, in commands that run on one: all would write the same files."""
    cluster = read_cluster(environment)
    if cluster is not None:
        advice = f"but only training shares its work among machines. Unset {VARIABLE}, and give each its own files."
        raise ValueError(f"{VARIABLE} names {len(cluster.addresses)} machines, {advice}")


def multi_worker_strategy(cluster: Cluster, num_gpu: int) -> tf.distribute.Strategy:
    """A MultiWorkerMirroredStrategy over `num_gpu` GPUs of every machine, or their CPUs if that is 0.

    Waits until every process of the job has called this. From then on, only the chief logs more than errors. Raises OSError
    if this machine cannot listen at its address.
    """
    # TensorFlow's own wait comes next, and neither Ctrl-C nor SIGTERM would end the process in it.
    if cluster.index == 0:
        _meet_workers(cluster)
    else:
        _meet_chief(cluster)
        logging.getLogger("youtube8m_distill").setLevel(logging.ERROR)
    # All of one type: the chief is the first one, and nothing else distinguishes a chief from a worker.
    workers = tf.train.ClusterSpec({"worker": list(cluster.addresses)})
    resolver = tf.distribute.cluster_resolver.SimpleClusterResolver(
        workers, task_type="worker", task_id=cluster.index, num_accelerators={"GPU": num_gpu}, rpc_layer="grpc"
    )
    on_termination = signal.getsignal(signal.SIGTERM)
    strategy = tf.distribute.MultiWorkerMirroredStrategy(cluster_resolver=resolver)
    signal.signal(signal.SIGTERM, on_termination)  # TensorFlow has installed a handler that does not end the process
    # Every process gets the same number of batches, so they need not agree before each one whether there is another.
    strategy.extended.experimental_enable_get_next_as_optional = False
    return strategy


def _meet_workers(cluster):
    """The chief's part: accepts a connection from every other machine, then lets all of them proceed."""
    own = cluster.addresses[0]
    others = {str(index).encode(): address for index, address in enumerate(cluster.addresses) if index}
    with contextlib.ExitStack() as held:
        listener = held.enter_context(_listen(own))
        calls, reported = {}, []  # socket -> the index that it sent; b"" before
        while missing := [address for index, address in others.items() if index not in calls.values()]:
            if missing != reported:
                log.info("Machine 0 (%s), the chief, waits for %s.", own, ", ".join(missing))
                reported = missing
            for ready in select.select([listener, *calls], [], [])[0]:
                if ready is listener:
                    calls[held.enter_context(listener.accept()[0])] = b""
                    continue
                index = b""
                with contextlib.suppress(OSError):
                    index = ready.recv(64)
                if index in others and index not in calls.values():
                    calls[ready] = index
                else:  # it ended while it waited, is not part of the job, or is a duplicate
                    del calls[ready]
                    ready.close()
        for call in [call for call, index in calls.items() if index]:
            call.sendall(GO)


def _listen(address):
    port, both = int(address.rpartition(":")[2]), socket.has_dualstack_ipv6()
    family = socket.AF_INET6 if both else socket.AF_INET
    try:
        return socket.create_server(("", port), backlog=128, dualstack_ipv6=both, family=family)
    except OSError as error:
        reason = f"{error.strerror}. Is an earlier job still running here?"
        raise OSError(f"{VARIABLE}: this machine cannot listen at {address}: {reason}") from error


def _meet_chief(cluster):
    """The part of the other machines: connects to the chief until it reports that all are there."""
    own, chief = cluster.addresses[cluster.index], cluster.addresses[0]
    host, _, port = chief.rpartition(":")
    log.info("Machine %d (%s) waits for the chief, %s.", cluster.index, own, chief)
    reported = ""
    while True:
        try:
            with socket.create_connection((host.strip("[]"), int(port)), timeout=10) as call:
                call.settimeout(None)
                call.sendall(str(cluster.index).encode())
                if call.recv(64) == GO:
                    return
        except OSError as error:  # it has not been started yet, or is being restarted
            if str(error) != reported:
                reported = str(error)
                log.info("The chief does not answer yet (%s); trying again.", reported)
        time.sleep(SECONDS_BETWEEN_CALLS)


@contextlib.contextmanager
def ending_with_the_job(cluster: Cluster | None, fail: Callable[[str], None]) -> Iterator[None]:
    """Ends this process with `fail(message)` when another one of its job is lost, since every step needs all of them."""
    try:
        yield
    except GONE as error:
        if cluster is None:
            raise
        named = [int(index) for index in re.findall(r"/task:(\d+)", str(error)) if int(index) != cluster.index]
        who = f"machine {named[0]} ({cluster.addresses[named[0]]})" if named else "another machine"
        advice = "Training stopped; run the same command on every machine to resume from the last checkpoint."
        fail(f"{who} of this job is gone: its process has ended, or cannot be reached. {advice}")

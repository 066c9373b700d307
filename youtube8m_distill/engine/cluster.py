"""Several machines: reads `TF_CONFIG`, connects the processes of a job, and ends a job when one of them is lost."""

import contextlib
import dataclasses
import json
import logging
import re
import select
import signal
import socket
import time
from collections.abc import Callable, Iterator, Mapping

import tensorflow as tf

VARIABLE = "TF_CONFIG"
EXAMPLE = '{"cluster": {"worker": ["host0:2222", "host1:2222"]}, "task": {"type": "worker", "index": 0}}'

GO = b"go"
SECONDS_BETWEEN_CALLS = 0.5

# How collective operations fail when another process of the job is lost.
GONE = (tf.errors.UnavailableError, tf.errors.AbortedError, tf.errors.CancelledError, tf.errors.DeadlineExceededError)

log = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True)
class Cluster:
    """The machines of one job, and which of them this process is.

    Attributes:
        addresses: "host:port" of every machine, the chief first.
        index: of this process among them.
    """

    addresses: tuple[str, ...]
    index: int


def read_cluster(environment: Mapping[str, str]) -> Cluster | None:
    """The cluster of `TF_CONFIG`, in TensorFlow's own format.

    Args:
        environment: such as `os.environ`.
    Returns:
        Cluster; None if `TF_CONFIG` is not set or names only one machine.
    Raises:
        ValueError: if it is invalid, or names tasks other than chief and worker.
    """
    text = environment.get(VARIABLE, "").strip()
    if not text:
        return None
    try:
        found = json.loads(text)
    except ValueError as error:
        raise ValueError(f"{VARIABLE} is not JSON: {error}. An example: {EXAMPLE}") from error
    machines = found.get("cluster") or {} if isinstance(found, dict) else None
    if not isinstance(machines, dict):
        raise ValueError(f"{VARIABLE}={text}: the cluster must be an object. An example: {EXAMPLE}")
    if not machines:
        return None
    addresses = [address for kind in ("chief", "worker") for address in _addresses(machines, kind)]
    index = _index(found.get("task"), machines)
    unknown = machines.keys() - {"chief", "worker"}
    if unknown:
        raise ValueError(
            f"{VARIABLE}: machines of the type {', '.join(sorted(unknown))} are not supported. Every machine trains; use "
            "chief and worker."
        )
    if len(machines.get("chief", [])) > 1 or len(set(addresses)) < len(addresses):
        raise ValueError(f"{VARIABLE} has two chiefs or duplicate machines: {', '.join(addresses)}.")
    return Cluster(tuple(addresses), index) if len(addresses) > 1 else None


def _addresses(machines, kind):
    found = machines.get(kind, [])
    if not isinstance(found, list) or not all(isinstance(a, str) and re.fullmatch(r".+:\d+", a) for a in found):
        raise ValueError(
            f'{VARIABLE}: {kind} must be a list of "host:port". Received: {json.dumps(found)}. An example: {EXAMPLE}'
        )
    return found


def _index(task, machines):
    """The index of this process among all machines, the chief first."""
    if not isinstance(task, dict) or not {"type", "index"} <= task.keys():
        raise ValueError(
            f"{VARIABLE}: the task must give the type and index of this machine. Received: {json.dumps(task)}. An example, "
            f"with another index on every machine: {EXAMPLE}"
        )
    kind, index = task["type"], str(task["index"])
    if kind not in ("chief", "worker"):
        raise ValueError(
            f"{VARIABLE}: the task type {kind!r} is not supported; use chief or worker. To evaluate while a job trains, "
            f"run eval.py without {VARIABLE}."
        )
    if not index.isdigit() or int(index) >= len(machines.get(kind, [])):
        raise ValueError(
            f"{VARIABLE}: the task is {kind} {index}, but the cluster has {len(machines.get(kind, []))} of that type, "
            "counted from 0."
        )
    return int(index) + (len(machines.get("chief", [])) if kind == "worker" else 0)


def refuse_cluster(environment: Mapping[str, str]) -> None:
    """Refuses several machines, for commands that run on one: each would do all the work and write the same files.

    Raises:
        ValueError: if `TF_CONFIG` names several machines, or is invalid.
    """
    cluster = read_cluster(environment)
    if cluster is not None:
        raise ValueError(
            f"{VARIABLE} names {len(cluster.addresses)} machines, but only train.py shares its work among machines. "
            f"Unset {VARIABLE}, and give each machine its own files."
        )


def multi_worker_strategy(cluster: Cluster, num_gpu: int) -> tf.distribute.Strategy:
    """A MultiWorkerMirroredStrategy; waits until every process of the job has called this.

    From then on, this package logs only errors on machines other than the chief, which reports for the whole job.

    Args:
        cluster: the job.
        num_gpu: GPUs of this machine to use, the same number on every machine; 0 for the CPU.
    Raises:
        OSError: if this machine cannot listen at its address.
    """
    # TensorFlow's own wait comes next, and neither Ctrl-C nor SIGTERM would end the process in it.
    if cluster.index == 0:
        _meet_workers(cluster)
    else:
        _meet_chief(cluster)
        logging.getLogger("youtube8m_distill").setLevel(logging.ERROR)
    # All of one type: the chief is the first one, and nothing else distinguishes a chief from a worker.
    resolver = tf.distribute.cluster_resolver.SimpleClusterResolver(
        tf.train.ClusterSpec({"worker": list(cluster.addresses)}),
        task_type="worker",
        task_id=cluster.index,
        num_accelerators={"GPU": num_gpu},
        rpc_layer="grpc",
    )
    on_termination = signal.getsignal(signal.SIGTERM)
    strategy = tf.distribute.MultiWorkerMirroredStrategy(cluster_resolver=resolver)
    signal.signal(signal.SIGTERM, on_termination)  # TensorFlow has installed a handler that does not end the process
    # Every process gets the same number of batches, so they need not agree before each one whether there is another.
    strategy.extended.experimental_enable_get_next_as_optional = False
    return strategy


def _meet_workers(cluster):
    """The chief's part: accepts a connection from every other machine, then lets all of them proceed."""
    others = range(1, len(cluster.addresses))
    with contextlib.ExitStack() as held:
        listener = held.enter_context(_listen(cluster.addresses[0]))
        calls, reported = {}, []  # socket -> index of the machine, once received
        while missing := [cluster.addresses[i] for i in others if i not in calls.values()]:
            if missing != reported:
                log.info("Machine 0 (%s), the chief, waits for %s.", cluster.addresses[0], ", ".join(missing))
                reported = missing
            for ready in select.select([listener, *calls], [], [])[0]:
                if ready is listener:
                    calls[held.enter_context(listener.accept()[0])] = None
                    continue
                index = _receive(ready)
                if index.isdigit() and int(index) in others and int(index) not in calls.values():
                    calls[ready] = int(index)
                else:  # it ended while it waited, is not part of the job, or is a duplicate
                    del calls[ready]
                    ready.close()
        for call in [call for call, index in calls.items() if index is not None]:
            call.sendall(GO)


def _listen(address):
    try:
        both = socket.has_dualstack_ipv6()
        return socket.create_server(
            ("", int(address.rpartition(":")[2])),
            backlog=128,
            dualstack_ipv6=both,
            family=socket.AF_INET6 if both else socket.AF_INET,
        )
    except OSError as error:
        raise OSError(
            f"{VARIABLE}: this machine cannot listen at {address}: {error.strerror}. Is an earlier job still running here?"
        ) from error


def _receive(call):
    try:
        return call.recv(64)
    except OSError:
        return b""


def _meet_chief(cluster):
    """The part of the other machines: connects to the chief until it reports that all are there."""
    host, _, port = cluster.addresses[0].rpartition(":")
    log.info(
        "Machine %d (%s) waits for the chief, %s.", cluster.index, cluster.addresses[cluster.index], cluster.addresses[0]
    )
    reported = ""
    while True:
        try:
            with socket.create_connection((host.strip("[]"), int(port)), timeout=10) as call:
                call.settimeout(None)
                call.sendall(str(cluster.index).encode())
                if _receive(call) == GO:
                    return
        except OSError as error:  # it has not been started yet, or is being restarted
            if str(error) != reported:
                reported = str(error)
                log.info("The chief does not answer yet (%s); trying again.", reported)
        time.sleep(SECONDS_BETWEEN_CALLS)


@contextlib.contextmanager
def ending_with_the_job(cluster: Cluster | None, fail: Callable[[str], None]) -> Iterator[None]:
    """Ends this process when another one of its job is lost, since every step needs all of them.

    Args:
        cluster: None does nothing.
        fail: ends the process with a message.
    """
    try:
        yield
    except GONE as error:
        if cluster is None:
            raise
        named = [int(index) for index in re.findall(r"/task:(\d+)", str(error)) if int(index) != cluster.index]
        who = f"machine {named[0]} ({cluster.addresses[named[0]]})" if named else "another machine"
        fail(
            f"{who} of this job is gone: its process has ended, or cannot be reached. Training stopped; run the same "
            "command on every machine to resume from the last checkpoint."
        )

"""Several machines: what `TF_CONFIG` says of them, and what holds a job of several processes together."""

import contextlib
import dataclasses
import json
import re
import select
import signal
import socket
import time

import tensorflow as tf

VARIABLE = "TF_CONFIG"
EXAMPLE = '{"cluster": {"worker": ["host0:2222", "host1:2222"]}, "task": {"type": "worker", "index": 0}}'

GO = b"go"
SECONDS_BETWEEN_CALLS = 0.5

# How the collective operations of one process fail when another one is gone.
GONE = (tf.errors.UnavailableError, tf.errors.AbortedError, tf.errors.CancelledError, tf.errors.DeadlineExceededError)


@dataclasses.dataclass(frozen=True)
class Cluster:
    """The machines of one job, and which of them this process is.

    Attributes:
        addresses: tuple of str, "host:port" of every machine, the chief first.
        index: int. The place of this process among them.
    """

    addresses: tuple
    index: int


def read_cluster(environment):
    """The cluster of `TF_CONFIG`, in TensorFlow's own format.

    Args:
        environment: mapping such as `os.environ`.
    Returns:
        Cluster; None where `TF_CONFIG` is not set or names one machine only.
    Raises:
        ValueError: if it cannot be understood, or names tasks other than chief and worker.
    """
    text = environment.get(VARIABLE, "").strip()
    if not text:
        return None
    try:
        found = json.loads(text)
    except ValueError as error:
        raise ValueError(f"{VARIABLE} is not JSON: {error}. It looks like {EXAMPLE}") from error
    machines = found.get("cluster") or {} if isinstance(found, dict) else None
    if not isinstance(machines, dict):
        raise ValueError(f"{VARIABLE}={text} names no cluster as an object. It looks like {EXAMPLE}")
    if not machines:
        return None
    addresses = [address for kind in ("chief", "worker") for address in _addresses(machines, kind)]
    index = _index(found.get("task"), machines)
    unknown = machines.keys() - {"chief", "worker"}
    if unknown:
        raise ValueError(
            f"{VARIABLE} has machines of the type {', '.join(sorted(unknown))}. Every machine trains here: "
            "there are only chief and worker."
        )
    if len(machines.get("chief", [])) > 1 or len(set(addresses)) < len(addresses):
        raise ValueError(f"{VARIABLE} names two chiefs, or a machine twice: {', '.join(addresses)}.")
    return Cluster(tuple(addresses), index) if len(addresses) > 1 else None


def _addresses(machines, kind):
    found = machines.get(kind, [])
    if not isinstance(found, list) or not all(isinstance(a, str) and re.fullmatch(r".+:\d+", a) for a in found):
        raise ValueError(
            f'{VARIABLE}: {kind} is {json.dumps(found)}, and not a list of "host:port". It looks like {EXAMPLE}'
        )
    return found


def _index(task, machines):
    """The place of this process among all machines, the chief first."""
    if not isinstance(task, dict) or not {"type", "index"} <= task.keys():
        raise ValueError(
            f"{VARIABLE} does not say which machine this is: its task is {json.dumps(task)}. It looks like "
            f"{EXAMPLE}, with another index on every machine."
        )
    kind, index = task["type"], str(task["index"])
    if kind not in ("chief", "worker"):
        raise ValueError(
            f"{VARIABLE}: the task's type is {kind!r}. Training has only chief and worker; a parameter server "
            f"has nothing to do here, and eval.py, without {VARIABLE}, follows a run as an evaluator would."
        )
    if not index.isdigit() or int(index) >= len(machines.get(kind, [])):
        raise ValueError(
            f"{VARIABLE}: the task is {kind} {index}, and the cluster has {len(machines.get(kind, []))} of "
            "that type, counted from 0."
        )
    return int(index) + (len(machines.get("chief", [])) if kind == "worker" else 0)


def refuse_cluster(environment):
    """For commands that run on one machine: on several, each would do the whole work and write the same files.

    Raises:
        ValueError: if `TF_CONFIG` names several machines, or cannot be understood.
    """
    cluster = read_cluster(environment)
    if cluster is not None:
        raise ValueError(
            f"{VARIABLE} names {len(cluster.addresses)} machines, and only train.py shares its work among "
            f"machines. Unset {VARIABLE}, and give each machine files of its own."
        )


def multi_worker_strategy(cluster, num_gpu, say=print):
    """A MultiWorkerMirroredStrategy; waits until every process of the job has come to this point.

    Args:
        cluster: Cluster.
        num_gpu: int. GPUs of this machine to use, the same number on every machine; 0 for the CPU.
        say: where a line goes while others are waited for.
    Raises:
        OSError: if this machine cannot listen at its address.
    """
    # In TensorFlow's own wait, which comes next, neither Ctrl-C nor a termination signal would end the process.
    if cluster.index == 0:
        _meet_workers(cluster, say)
    else:
        _meet_chief(cluster, say)
    # All of one type: who is the chief has been settled, and nothing else tells a chief from a worker.
    resolver = tf.distribute.cluster_resolver.SimpleClusterResolver(
        tf.train.ClusterSpec({"worker": list(cluster.addresses)}),
        task_type="worker",
        task_id=cluster.index,
        num_accelerators={"GPU": num_gpu},
        rpc_layer="grpc",
    )
    on_termination = signal.getsignal(signal.SIGTERM)
    strategy = tf.distribute.MultiWorkerMirroredStrategy(cluster_resolver=resolver)
    signal.signal(signal.SIGTERM, on_termination)  # TensorFlow has put its own in place, which ends nothing
    # Every process gets the same number of batches, so none has to ask the others before each whether they have one.
    strategy.extended.experimental_enable_get_next_as_optional = False
    return strategy


def _meet_workers(cluster, say):
    """The chief's part of the meeting: takes a call from every other machine, then tells all of them to go on."""
    others = range(1, len(cluster.addresses))
    with contextlib.ExitStack() as held:
        listener = held.enter_context(_listen(cluster.addresses[0]))
        calls, told = {}, []  # socket -> index of the machine that calls, once it has said so
        while missing := [cluster.addresses[i] for i in others if i not in calls.values()]:
            if missing != told:
                say(f"Machine 0 ({cluster.addresses[0]}), the chief, waits for {', '.join(missing)}.")
                told = missing
            for ready in select.select([listener, *calls], [], [])[0]:
                if ready is listener:
                    calls[held.enter_context(listener.accept()[0])] = None
                    continue
                said = _receive(ready)
                if said.isdigit() and int(said) in others and int(said) not in calls.values():
                    calls[ready] = int(said)
                else:  # it has ended while it waited, is none of the job, or there already
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
            f"{VARIABLE}: this machine cannot listen at {address}: {error.strerror}. Does an earlier job still run here?"
        ) from error


def _receive(call):
    try:
        return call.recv(64)
    except OSError:
        return b""


def _meet_chief(cluster, say):
    """The other machines' part: calls the chief until it answers that all are there."""
    host, _, port = cluster.addresses[0].rpartition(":")
    say(f"Machine {cluster.index} ({cluster.addresses[cluster.index]}) waits for the chief, {cluster.addresses[0]}.")
    told = ""
    while True:
        try:
            with socket.create_connection((host.strip("[]"), int(port)), timeout=10) as call:
                call.settimeout(None)
                call.sendall(str(cluster.index).encode())
                if _receive(call) == GO:
                    return
        except OSError as error:  # it has not been started yet, or was started again
            if str(error) != told:
                told = str(error)
                say(f"The chief does not answer yet ({told}); trying on.")
        time.sleep(SECONDS_BETWEEN_CALLS)


@contextlib.contextmanager
def ending_with_the_job(cluster, fail):
    """Ends this process when another one of its job is gone: its part of every step is missed.

    Args:
        cluster: Cluster; with None nothing is done.
        fail: function of one message, which ends the process.
    """
    try:
        yield
    except GONE as error:
        if cluster is None:
            raise
        named = [int(index) for index in re.findall(r"/task:(\d+)", str(error)) if int(index) != cluster.index]
        who = f"machine {named[0]} ({cluster.addresses[named[0]]})" if named else "another machine"
        fail(
            f"{who} of this job is gone: its process has ended, or cannot be reached. Training stopped; start the "
            "same command on every machine to go on from the last checkpoint."
        )

"""Reading from an object store: copies made while others are read, streams, downloads before reading, and local files.

    python benchmarks/object_store.py [--num_videos=1800] [--rounds=2]

The store is moto's S3 server, in another process of this machine. It reads a whole file for each request, also for a part of
it, so it is slower than a real one. "s/GB" is the processor time of this process alone. All readers take turns in one
process. Each reads all records once: as fast as it can, or with a consumer that takes as long as the download, as a training
may. A stream asks for blocks of a file and cuts them into records in Python, here without a check of their checksums.
"""

import collections
import concurrent.futures
import glob
import os
import pathlib
import shutil
import socket
import statistics
import struct
import subprocess
import sys
import tempfile
import time

import numpy as np
import tensorflow as tf
from absl import flags

import figures
import inputs
from youtube8m_distill.data import file_access
from youtube8m_distill.data.find_files import find_files
from youtube8m_distill.data.order import TrainingOrder
from youtube8m_distill.data.pipeline import read_records
from youtube8m_distill.data.tfrecord import with_quick_iterators

NUM_VIDEOS = flags.DEFINE_integer("num_videos", 1800, "Number of videos, in twelve files. Each takes 0.26 MB.", 120)
ROUNDS = flags.DEFINE_integer("rounds", 2, "Number of rounds.", 1)
FILES, READERS, BATCH = 12, 4, 64
BLOCK, BLOCKS_AHEAD = 2**24, 2
ORDER = TrainingOrder(num_readers=READERS, shuffle_buffer=256)
ACCOUNT = {"AWS_ACCESS_KEY_ID": "key", "AWS_SECRET_ACCESS_KEY": "secret", "AWS_DEFAULT_REGION": "us-east-1"}


def measure():
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        local = inputs.write_videos(folder / "videos", inputs.real_lengths(NUM_VIDEOS.value), NUM_VIDEOS.value // FILES)
        os.environ.update(ACCOUNT, YT8M_CACHE_DIR=str(folder / "copies"))
        server = start_server()
        try:
            yield from compare(find_files(local), find_files(upload(local)), folder / "copies")
        finally:
            server.kill()


def start_server():
    """Starts a server and sets its address; returns the process."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    os.environ["AWS_ENDPOINT_URL"] = f"http://127.0.0.1:{port}"
    command = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]
    return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def upload(local):
    """Copies files to the server when it is ready; returns a glob of theirs."""
    import s3fs

    store = s3fs.S3FileSystem()
    while True:
        try:
            store.mkdir("bucket")
            break
        except Exception:  # not ready yet
            time.sleep(0.2)
    for path in glob.glob(local):
        store.put_file(path, f"bucket/{os.path.basename(path)}")
    return "s3://bucket/*.tfrecord"


def compare(local, remote, copies):
    gigabytes = sum(shard.size for shard in local) / 1e9
    readers = {
        "local files": lambda: read_records(local, ORDER),
        "copies, made while others are read": lambda: clear(copies) or read_records(remote, ORDER),
        "copies that are there": lambda: read_records(remote, ORDER),
        "downloads before reading": lambda: clear(copies) or download(remote) or read_records(remote, ORDER),
        "streams": lambda: streams([shard.path for shard in remote]),
    }
    seconds, work = collections.defaultdict(list), 0.0
    for _ in range(ROUNDS.value):
        clear(copies)
        started = time.perf_counter()
        download(remote)
        work = time.perf_counter() - started if not work else work
        for name, make in readers.items():
            for pace in (0.0, work):
                if pace and name == "copies that are there":
                    continue
                processor, started = time.process_time(), time.perf_counter()
                consume(make(), pace / (NUM_VIDEOS.value / BATCH))
                seconds[name, pace > 0].append(time.perf_counter() - started)
                seconds[name, "processor"] += [] if pace else [time.process_time() - processor]
    yield figures.Figure("download of all files", work, "s")
    for (name, kind), found in seconds.items():
        value = statistics.median(found)
        if kind == "processor":
            yield figures.Figure(f"{name}: processor time", value / gigabytes, "s/GB")
        elif kind:
            yield figures.Figure(f"{name}, with a consumer as slow as the download", value, "s")
        else:
            yield figures.Figure(name, 1000 * gigabytes / value, "MB/s")
    ratio = statistics.median(seconds["streams", False]) / statistics.median(
        seconds["copies, made while others are read", False]
    )
    yield figures.Figure("rate of copies over that of streams, first epoch", ratio, "x", at_least=0.9)


def clear(copies):
    shutil.rmtree(copies, ignore_errors=True)


def download(shards):
    with concurrent.futures.ThreadPoolExecutor(READERS) as pool:
        list(pool.map(lambda shard: file_access.local_path(shard.path), shards))


def consume(records, seconds_per_batch):
    for _ in with_quick_iterators(records.batch(BATCH).prefetch(2)):
        time.sleep(seconds_per_batch)


def streams(paths):
    """The records of some files, string, from streams of blocks."""
    import s3fs

    store, pool = s3fs.S3FileSystem(), concurrent.futures.ThreadPoolExecutor(READERS * BLOCKS_AHEAD)

    def blocks(path):
        size = store.size(path)
        starts, asked = iter(range(0, size, BLOCK)), collections.deque()

        def ask():
            if (start := next(starts, None)) is not None:
                asked.append(pool.submit(store.cat_file, path, start=start, end=min(start + BLOCK, size)))

        for _ in range(BLOCKS_AHEAD):
            ask()
        while asked:
            yield asked.popleft().result()
            ask()

    def records(path):
        rest = b""
        for block in blocks(path.decode()):
            content, start, found = rest + block, 0, []
            while start + 12 <= len(content):
                end = start + 12 + struct.unpack_from("<Q", content, start)[0] + 4
                if end > len(content):
                    break
                found.append(content[start + 12 : end - 4])
                start = end
            rest = content[start:]
            yield np.array(found, object)

    def read(path):
        spec = tf.TensorSpec([None], tf.string)
        return tf.data.Dataset.from_generator(records, args=(path,), output_signature=spec).unbatch()

    files = tf.data.Dataset.from_tensor_slices(paths)
    return files.interleave(read, cycle_length=READERS, num_parallel_calls=READERS).shuffle(ORDER.shuffle_buffer)


if __name__ == "__main__":
    figures.run(measure)

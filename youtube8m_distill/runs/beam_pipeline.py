"""Predicts with Apache Beam: the records of all files are counted, then every worker predicts some of the batches.

The only data that pass between workers are numbers of files and parts, and counts of records. Rows go straight to their
file. A part that is computed twice, because a worker failed or was slow, gives the same file.
"""

# Apache Beam is an extra.
# pyright: reportMissingImports=false

import bisect
import json
import threading
from collections.abc import Mapping, Sequence

import apache_beam as beam
from apache_beam.metrics import Metrics, MetricsFilter
from apache_beam.options.pipeline_options import PipelineOptions, TypeOptions
from apache_beam.runners.runner import PipelineState
from apache_beam.utils.shared import Shared

from youtube8m_distill.data.exclusions import Fault
from youtube8m_distill.data.tfrecord import count_whole
from youtube8m_distill.export.kaggle import HEADER
from youtube8m_distill.runs.beam_job import Job, Loaded, create
from youtube8m_distill.runs.record_batches import REST_IS_DAMAGED, RecordBatches, predict_batches

METRICS = "youtube8m_distill"
VIDEOS, BAD_RECORDS = "videos", "bad_records"

# A process predicts one part at a time: TensorFlow uses all cores for it, and each part takes memory for its batches.
predicting = threading.Lock()


class _OnFiles(beam.DoFn):
    """A step that needs the files and the network, which a process loads once, however many threads and steps it runs."""

    def __init__(self, job: Job, shared: Shared):
        self.job, self._shared = job, shared

    def setup(self):
        self.loaded: Loaded = self._shared.acquire(self.job.load)


class CountRecords(_OnFiles):
    """index of a file -> (index, (records to read, number of the first record that is cut off or None))"""

    def process(self, element: int):
        shard = self.loaded.shards[element]
        number, is_damaged = count_whole(shard)
        yield element, (number - bisect.bisect_left(shard.excluded, number), number if is_damaged else None)


class PredictPart(_OnFiles):
    """Writes the rows of a part, by its number, and the records that they lack."""

    def __init__(self, job: Job, shared: Shared):
        super().__init__(job, shared)
        self.videos, self.bad_records = Metrics.counter(METRICS, VIDEOS), Metrics.counter(METRICS, BAD_RECORDS)

    def process(self, element: int, counts: Mapping[int, tuple[int, int | None]]):
        loaded, in_order = self.loaded, [counts[index] for index in range(len(self.loaded.shards))]
        batches = RecordBatches(loaded.shards, [number for number, _ in in_order], self.job.batch_size)
        wanted, num_videos, faults = _share(element, self.job.num_parts, len(batches)), 0, []
        with predicting, create(self.job.predictions(element)) as file:
            file.write(HEADER)
            for found in predict_batches(loaded.tagger, batches, wanted, loaded.layout):
                file.write(b"".join(found.lines))
                num_videos += len(found.lines)
                faults += found.faults
            for index, (shard, (_, damaged_from)) in enumerate(zip(loaded.shards, in_order)):
                if damaged_from is not None and batches.last_batch_of(index) in wanted:
                    faults.append(Fault(shard.path, damaged_from, REST_IS_DAMAGED))
            if faults:  # before the rows appear, so that a part with rows is complete
                with create(self.job.bad_records(element)) as bad:
                    bad.write(b"".join(json.dumps(_about(fault)).encode() + b"\n" for fault in faults))
        self.videos.inc(num_videos)
        self.bad_records.inc(len(faults))


def _share(part, num_parts, num_batches):
    """The batches of a part; the parts have equally many, or one less."""
    return range(num_batches * part // num_parts, num_batches * (part + 1) // num_parts)


def _about(fault):
    return {"file": fault.path, "record": fault.record, "reason": fault.reason}


def predict(job: Job, parts: Sequence[int], num_files: int, runner: str, options: PipelineOptions) -> int:
    """Predicts some parts of a job on a runner of Beam, and waits for the end. Returns the number of their rows.

    RuntimeError if it fails.
    """
    if runner == "DirectRunner":  # it would first download Prism, a runner that does not take pipelines with this option
        options.view_as(TypeOptions).allow_unsafe_triggers = True
    pipeline, shared = beam.Pipeline(runner, options), Shared()
    counts = (
        pipeline
        | "Files" >> beam.Create(range(num_files))
        | "Distribute files" >> beam.Reshuffle()
        | "Count records" >> beam.ParDo(CountRecords(job, shared))
    )
    _ = (
        pipeline
        | "Parts" >> beam.Create(list(parts))
        | "Distribute parts" >> beam.Reshuffle()
        | "Predict" >> beam.ParDo(PredictPart(job, shared), beam.pvalue.AsDict(counts))
    )
    result = pipeline.run()
    state = result.wait_until_finish()
    if state != PipelineState.DONE:
        raise RuntimeError(f"the job ended in the state {state}")
    counters = result.metrics().query(MetricsFilter().with_namespace(METRICS))["counters"]
    return {counter.key.metric.name: counter.result for counter in counters}.get(VIDEOS, 0)

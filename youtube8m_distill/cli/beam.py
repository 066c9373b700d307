"""Predicts the classes of many videos with Apache Beam, on this machine or a cluster."""

# Apache Beam is an extra.
# pyright: reportMissingImports=false

import contextlib
import io
import logging
import os
import signal
import time

from apache_beam.io.filesystems import FileSystems
from apache_beam.options.pipeline_options import DebugOptions, PipelineOptions, WorkerOptions

from youtube8m_distill import runs
from youtube8m_distill.cli import entry, predict_tensorflow
from youtube8m_distill.cli.flags import FLAGS
from youtube8m_distill.cli.values import exclusions
from youtube8m_distill.engine.cluster import refuse_cluster
from youtube8m_distill.engine.strategy import make_strategy
from youtube8m_distill.errors import SettingError
from youtube8m_distill.runs import beam_job, beam_pipeline

CHECKED = ("DirectRunner", "DataflowRunner")  # all of whose options Beam knows here; other runners add to them
KEPT = "Finished parts are kept; the same command resumes."

log = logging.getLogger(__name__)


def main(*arguments):
    with contextlib.ExitStack() as stack, entry.user_errors():
        refuse_cluster(os.environ)
        options = read_options(FLAGS.runner, arguments)
        folder, started = FLAGS.output_dir, time.monotonic()
        folder = folder if "://" in folder else os.path.abspath(folder)
        FileSystems.set_options(options)
        with entry.about("output_dir"):
            FileSystems.exists(folder)  # fails if the package for its file system is missing
        tagger, _ = predict_tensorflow.load_tagger(stack, make_strategy(0))  # workers use what GPUs they have
        pattern, features = FLAGS.input_data_pattern, tagger.configs[0].features
        shards = runs.find_shards("input_data_pattern", pattern, features, tagger.configs, exclusions(), tagger.reading)
        with beam_job.held(folder):
            batch_size = FLAGS.batch_size or tagger.batch_size
            num_parts = FLAGS.num_shards or beam_job.good_num_parts(shards)
            job = beam_job.prepare(folder, tagger, shards, FLAGS.checkpoint or "best", batch_size, num_parts)
            parts, name = job.missing_parts(), tagger.name
            del tagger  # workers load their own, perhaps in this process
            if len(parts) < num_parts:
                log.info("%d of %d parts are in %s and are kept.", num_parts - len(parts), num_parts, folder)
            num_videos, (num_bad, num_damaged) = run(job, parts, len(shards), options), job.count_bad_records()
    print(f"{num_videos} videos by the {name} in {time.monotonic() - started:.1f} s: {job.path('predictions-*.csv')}")
    if num_bad:
        log.warning("%s", bad_records_in_words(num_bad, num_damaged, job.path("bad_records-*.jsonl")))


def run(job, parts, num_files, options):
    """Runs the pipeline, if a part is missing, and returns the number of new rows. SettingError if it fails."""
    if not parts:
        return 0
    with ended_by_signals():
        try:
            return beam_pipeline.predict(job, parts, num_files, FLAGS.runner, options)
        except Exception as error:  # of many types, each with the traceback of a worker as its message
            raise SettingError("runner", failure(error), FLAGS.runner) from error


@contextlib.contextmanager
def ended_by_signals():
    """Raises what the handler of Ctrl-C or SIGTERM raised inside the block; Beam would make it the error of a worker."""
    raised, beam_log = [], logging.getLogger("apache_beam")
    handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    handlers = {number: handler for number, handler in handlers.items() if callable(handler)}  # not ignored
    level = beam_log.level

    def handle(number, frame):
        beam_log.setLevel(logging.CRITICAL + 1)  # it logs a traceback
        try:
            handlers[number](number, frame)
        except BaseException as error:
            raised.append(error)
            raise

    for number in handlers:
        signal.signal(number, handle)
    try:
        yield
    except BaseException:
        if not raised:
            raise
        log.warning(KEPT)
        raise raised[0] from None
    finally:
        beam_log.setLevel(level)
        for number, handler in handlers.items():
            signal.signal(number, handler)


def bad_records_in_words(num_bad, num_damaged, lists):
    """How many records the rows lack; at least, if files are damaged, of which the rest is one entry."""
    if not num_damaged:
        return f"{num_bad} record(s) could not be used: {lists}."
    unread = f"{num_damaged} file(s) are damaged and were not read to the end"
    return f"at least {num_bad} record(s) could not be used; {unread}: {lists}. `yt8m check` counts the missing records."


def failure(error):
    """A failure of a job in one line: the error of a worker, if Beam reports it."""
    lines = [line for line in str(error).splitlines() if line and not line.startswith((" ", "\t"))]
    reason = lines[-1].partition(" [while running")[0].rstrip(".") if lines else type(error).__name__
    return f"the job failed: {reason}. {KEPT}"


def read_options(runner, arguments):
    """The options of Beam among the arguments after `--`. SettingError if one is not valid."""
    for argument in arguments:
        if not argument.startswith("--"):
            raise SettingError("beam", f"unexpected argument {argument!r}; options of Beam are --name=value after `--`.")
        if argument.startswith("--runner"):
            raise SettingError("runner", "belongs before `--`.")
    options, complaint = PipelineOptions(list(arguments)), io.StringIO()
    try:
        with contextlib.redirect_stderr(complaint):
            given = options.get_all_options(drop_default=True, retain_unknown_options=True)
    except SystemExit:
        *_, last = complaint.getvalue().strip().splitlines()
        raise SettingError("beam", f"{last.partition('error: ')[2]}.") from None
    unknown = given.keys() - PipelineOptions([]).get_all_options().keys()
    if unknown and runner in CHECKED:
        names = ", ".join(f"--{name}" for name in sorted(unknown))
        raise SettingError("runner", f"Beam has no option {names}. `--helpshort` lists the flags of this command.", runner)
    debug, worker = options.view_as(DebugOptions), options.view_as(WorkerOptions)
    if worker.default_sdk_harness_log_level is None and runner == "DirectRunner":
        worker.default_sdk_harness_log_level = "WARNING"  # workers write to this terminal
    if debug.number_of_worker_harness_threads is None:
        debug.number_of_worker_harness_threads = 1  # other threads of a process would only wait for the first
    return options

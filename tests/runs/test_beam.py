"""`yt8m beam` with Beam's runner for this machine. `make test-beam` runs these tests in an environment that has Beam."""

import json
import os
import pathlib
import signal
import subprocess
import sys
import threading

import pytest

from tests import cascades, commands, networks, records
from youtube8m_distill import config

pytest.importorskip("apache_beam")

from youtube8m_distill.runs import beam_job, beam_pipeline  # noqa: E402

ROOT = pathlib.Path(__file__).parents[2]
TWO_PROCESSES = ("--", "--direct_num_workers=2", "--direct_running_mode=multi_processing")
NETWORK = networks.frame_level(view=config.FrameView(frame_selection="uniform", frames_per_video=4))


def yt8m(*arguments):
    """Runs a command in a process of its own, since TensorFlow computes with other settings in tests; returns its output."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-m", "youtube8m_distill", *map(str, arguments)]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout, done.stderr


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder with a run, files of 43 videos of 1 to 9 frames, one compressed, and the predictions of a single process."""
    folder = tmp_path_factory.mktemp("beam")
    commands.save_run(folder / "run", NETWORK)
    commands.write_files(folder, "test", commands.frame_videos(43), files=4)
    records.write(folder / "test4.tfrecord", [commands.frame_videos(44, seed=0)[43]], "GZIP")
    given = (f"--train_dir={folder}/run", f"--input_data_pattern={folder}/test*.tfrecord", "--batch_size=8")
    yt8m("infer", *given, f"--output_file={folder}/infer.csv")
    return folder


def given(folder, output_dir, *arguments):
    """The arguments of the command for the files of a folder."""
    found = (f"--train_dir={folder}/run", f"--input_data_pattern={folder}/test*.tfrecord", f"--output_dir={output_dir}")
    return (*found, "--batch_size=8", *arguments)


def joined(output_dir):
    """The rows of all parts after one header."""
    parts = [path.read_bytes().partition(b"\n") for path in sorted(output_dir.glob("predictions-*.csv"))]
    assert {header for header, _, _ in parts} == {b"VideoId,LabelConfidencePairs"}
    return parts[0][0] + b"\n" + b"".join(rows for _, _, rows in parts)


def test_two_processes_write_the_bytes_of_yt8m_infer(folder, tmp_path):
    out, _ = yt8m("beam", *given(folder, tmp_path / "out", "--num_shards=3", *TWO_PROCESSES))
    assert out.startswith("44 videos by the network of step 3 in ")
    assert joined(tmp_path / "out") == (folder / "infer.csv").read_bytes()
    names = {path.name for path in (tmp_path / "out").iterdir()}
    assert names == {"job.json", "model.tgz", *(f"predictions-0000{part}-of-00003.csv" for part in range(3))}


def test_a_second_call_computes_the_parts_that_are_missing(folder, tmp_path):
    whole = tmp_path / "out"
    commands.succeed("beam", *given(folder, whole))
    before = commands.entries(whole)
    (whole / "predictions-00001-of-00005.csv").unlink()
    (whole / "predictions-00002-of-00005.csv.0123.partial").write_bytes(b"of a killed worker")
    kept = (whole / "predictions-00002-of-00005.csv").stat().st_mtime_ns
    ended = commands.succeed("beam", *given(folder, whole))
    assert "4 of 5 parts are in" in ended.out and commands.entries(whole) == before
    assert (whole / "predictions-00002-of-00005.csv").stat().st_mtime_ns == kept
    assert "0 videos by" in commands.succeed("beam", *given(folder, whole)).out


def test_bad_records_are_in_files_of_their_own(folder, tmp_path):
    videos = commands.frame_videos(20)
    pattern = commands.write_files(tmp_path, "v", [*videos[:7], b"garbage", *videos[8:]], files=2)
    content = (tmp_path / "v1.tfrecord").read_bytes()
    (tmp_path / "v1.tfrecord").write_bytes(content[:-5])  # cut short in its last record
    arguments = [f"--input_data_pattern={pattern}", f"--train_dir={folder}/run", f"--output_dir={tmp_path}/out"]
    ended = commands.succeed("beam", *arguments, "--batch_size=8", *TWO_PROCESSES)
    warning = "Warning: at least 2 record(s) could not be used; 1 file(s) are damaged and were not read to the end: "
    assert ended.out.startswith("18 videos by") and warning in ended.err
    found = [json.loads(line) for path in sorted((tmp_path / "out").glob("bad*.jsonl")) for line in path.open()]
    assert found == [
        {"file": f"{tmp_path}/v0.tfrecord", "record": 7, "reason": "neither a SequenceExample nor an Example"},
        {
            "file": f"{tmp_path}/v1.tfrecord",
            "record": 9,
            "reason": "from here on damaged or cut short; fetch the file again",
        },
    ]
    ids = [line.partition(b",")[0] for line in joined(tmp_path / "out").splitlines()[1:]]
    assert ids == [commands.video_id(number) for number in range(20) if number not in (7, 19)]
    (tmp_path / "out/predictions-00001-of-00002.csv").unlink()
    for count in (11, 0):  # rows of the missing part, and of none; both lack the bad records of parts that are kept
        again = commands.succeed("beam", *arguments, "--batch_size=8")
        assert again.out.splitlines()[-1].startswith(f"{count} videos by")
        assert warning in again.err
    (tmp_path / "out/bad_records-00001-of-00002.jsonl").unlink()  # with the damaged file
    assert "Warning: 1 record(s) could not be used: " in commands.succeed("beam", *arguments, "--batch_size=8").err


def test_a_part_that_is_computed_twice_is_the_same(folder, tmp_path):
    commands.succeed("beam", *given(folder, tmp_path / "out"))
    before = commands.entries(tmp_path / "out")
    step = beam_pipeline.PredictPart(beam_job.Job(str(tmp_path / "out"), 5, 8), beam_pipeline.Shared())
    step.setup()
    counts = {index: (count, None) for index, count in enumerate((11, 11, 11, 10, 1))}
    workers = [threading.Thread(target=step.process, args=(1, counts)) for _ in range(2)]
    [worker.start() for worker in workers]
    [worker.join() for worker in workers]
    assert commands.entries(tmp_path / "out") == before


def test_a_process_loads_the_network_once(folder, tmp_path, monkeypatch):
    loaded, load = [], beam_job.Job.load
    monkeypatch.setattr(beam_job.Job, "load", lambda job: loaded.append(job) or load(job))
    options = ["--", "--direct_num_workers=3", "--direct_running_mode=multi_threading"]
    commands.succeed("beam", *given(folder, tmp_path / "out", *options))
    assert len(loaded) == 1


def test_a_cascade_predicts_as_with_yt8m_infer(folder, tmp_path):
    cascades.save_cascade(tmp_path / "cascade", cascades.save_runs(tmp_path / "runs"), [0.45], cascades.COMBINED_MAPS)
    arguments = [f"--train_dir={tmp_path}/cascade", f"--input_data_pattern={folder}/test*.tfrecord", "--batch_size=8"]
    yt8m("infer", *arguments, f"--output_file={tmp_path}/infer.csv")
    yt8m("beam", *arguments, f"--output_dir={tmp_path}/out", *TWO_PROCESSES)
    assert joined(tmp_path / "out") == (tmp_path / "infer.csv").read_bytes()
    assert not (tmp_path / "out" / "model.tgz").exists()


@pytest.mark.parametrize(
    "arguments, message",
    [
        (["--output_dir={folder}"], "--output_dir={folder}: is not empty and holds no job.json (first entry: infer.csv)."),
        (["--input_data_pattern={folder}/no*"], "--input_data_pattern={folder}/no*: "),
        (["--output_dir=gs://bucket/out"], "--output_dir=gs://bucket/out: Unable to get filesystem"),
        (["--runner=DataflowRunner"], "--runner=DataflowRunner: needs Google's packages: pip install 'apache-beam[gcp]'."),
        (["out"], "beam: unexpected argument 'out'; options of Beam are --name=value after `--`."),
        (["--", "--runner=FlinkRunner"], "--runner: belongs before `--`."),
        (["--", "--direct_num_worker=2"], "--runner=DirectRunner: Beam has no option --direct_num_worker."),
        (["--", "--direct_num_workers=x"], "beam: argument --direct_num_workers: invalid int value: 'x'."),
    ],
)
def test_invalid_settings_are_reported(arguments, message, folder, tmp_path):
    arguments = [argument.format(folder=folder) for argument in arguments]
    line = commands.fail("beam", *given(folder, tmp_path / "out", *arguments))
    assert line.startswith(f"Error: {message.format(folder=folder)}")


def test_a_folder_of_another_job_is_refused(folder, tmp_path):
    output = tmp_path / "out"
    commands.succeed("beam", *given(folder, output))
    line = commands.fail("beam", *given(folder, output, "--top_k=3"))
    assert f"--output_dir={output}: holds predictions with other settings: top_k (5 there, 3 here)." in line
    line = commands.fail("beam", *given(folder, output, f"--input_data_pattern={folder}/test[0-3]*", "--num_shards=5"))
    assert f"--output_dir={output}: holds predictions of other files: 5 file(s) instead of 4." in line
    (output / "job.json").write_text("{")
    assert "its job.json cannot be read" in commands.fail("beam", *given(folder, output))


def test_a_folder_in_use_is_refused(folder, tmp_path):
    with beam_job.held(str(tmp_path)):
        assert "is in use" in commands.fail("beam", *given(folder, tmp_path))


def test_a_failure_of_a_worker_is_reported_in_one_line(folder, tmp_path):
    commands.succeed("beam", *given(folder, tmp_path / "out"))
    (tmp_path / "out/predictions-00001-of-00005.csv").unlink()
    (tmp_path / "out/model.tgz").write_bytes(b"no archive")
    ended = commands.run("beam", *given(folder, tmp_path / "out"))
    assert ended.code == 2 and ended.lines[-1].startswith("Error: --runner=DirectRunner: the job failed: ")
    assert ended.lines[-1].endswith("b'no'). Finished parts are kept; the same command resumes.")
    assert not (tmp_path / "out/predictions-00001-of-00005.csv").exists()


@pytest.mark.parametrize("number, code", [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_ends_a_job_in_one_process_without_a_traceback(number, code, folder, tmp_path, monkeypatch):
    process = beam_pipeline.PredictPart.process

    def interrupted(step, element, counts):
        if element == 1:
            signal.raise_signal(number)
        return process(step, element, counts)

    own = signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell starts background jobs with it ignored
    monkeypatch.setattr(beam_pipeline.PredictPart, "process", interrupted)
    try:
        ended = commands.run("beam", *given(folder, tmp_path))
    finally:
        signal.signal(signal.SIGINT, own)
    assert ended.code == code and "Traceback" not in ended.err
    kept = "Warning: Finished parts are kept; the same command resumes."
    assert ended.lines == [kept, "Interrupted."][: 1 + (code == 130)]
    assert (tmp_path / "predictions-00000-of-00005.csv").exists() and not list(tmp_path.glob("*.partial"))


def test_other_weights_than_the_job_was_started_with_are_refused(folder, tmp_path):
    commands.succeed("beam", *given(folder, tmp_path / "out"))
    commands.save_run(tmp_path / "run", NETWORK, steps=(4,))
    commands.succeed("beam", *given(tmp_path, tmp_path / "other", f"--input_data_pattern={folder}/test*.tfrecord"))
    os.replace(tmp_path / "other/model.tgz", tmp_path / "out/model.tgz")
    with pytest.raises(ValueError, match=r"is not what the job was started with: weights \(step 3.* there, step 4"):
        beam_job.Job(str(tmp_path / "out"), 5, 8).load()


def test_a_file_that_is_not_completed_leaves_nothing(tmp_path):
    with pytest.raises(KeyError), beam_job.create(str(tmp_path / "a.csv")) as file:
        file.write(b"half")
        raise KeyError
    assert not list(tmp_path.iterdir())
    with beam_job.create(str(tmp_path / "a.csv")) as file:
        file.write(b"whole")
    assert commands.entries(tmp_path) == {"a.csv": b"whole"}

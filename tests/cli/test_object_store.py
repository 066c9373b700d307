"""The commands on files of an S3 server."""

import re
import shutil

import pytest

from tests import commands, kills, networks
from tests.object_store import Server, forget_servers, use
from youtube8m_distill.engine import loop
from youtube8m_distill.runs import tagger

pytestmark = pytest.mark.usefixtures("quick_hrnn")
SMALL = (*commands.SMALL, *commands.QUICK)


@pytest.fixture(scope="module")
def local(tmp_path_factory):
    """Globs of 24 training and 9 validation videos."""
    folder = tmp_path_factory.mktemp("videos")
    return [
        commands.write_files(folder, name, commands.frame_videos(count), 3) for name, count in (("train", 24), ("val", 9))
    ]


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return commands.save_run(tmp_path_factory.mktemp("trained") / "run", networks.frame_level()).folder


def test_predictions_of_files_on_s3_are_those_of_local_files(local, run, s3, tmp_path):
    for name, pattern in (("local", local[1]), ("remote", s3.put(local[1], "infer"))):
        arguments = (f"--train_dir={run}", f"--input_data_pattern={pattern}", f"--output_file={tmp_path}/{name}.csv")
        commands.succeed("infer", *arguments, "--checkpoint=last")
    assert (tmp_path / "remote.csv").read_bytes() == (tmp_path / "local.csv").read_bytes()


@pytest.mark.slow
def test_files_on_s3_are_checked(local, s3, tmp_path):
    pattern = s3.put(local[1], "check")
    s3.write("check/val9.tfrecord", b"x" * 40)
    ended = commands.run("check", f"--input_data_pattern={pattern}", f"--num_classes={commands.NUM_CLASSES}")
    assert ended.code == 1 and "1 of 10 records in 4 file(s) are bad" in ended.out.replace("about ", "")
    assert "s3://bucket/check/val9.tfrecord" in ended.out


def test_a_wrong_bucket_is_reported_with_its_flag(run, s3):
    line = commands.fail("eval", f"--train_dir={run}", "--eval_data_pattern=s3://buckets/val*", "--run_once")
    assert line.startswith("Error: --eval_data_pattern=s3://buckets/val*: cannot be read (FileNotFoundError: ")


def test_a_server_that_dies_while_files_are_read_is_reported_with_flag_and_address(local, run, tmp_path, monkeypatch):
    dying = Server("dies")
    use(dying, tmp_path / "copies", monkeypatch)
    pattern = dying.put(local[1], "infer")
    stop_at_layout(dying, monkeypatch)
    output = f"--output_file={tmp_path}/p.csv"
    line = commands.fail("infer", f"--train_dir={run}", f"--input_data_pattern={pattern}", output, "--checkpoint=last")
    forget_servers()
    assert re.match(
        rf"Error: --input_data_pattern={re.escape(pattern)}: s3://dies/infer/val\d.tfrecord cannot be read "
        rf"\(EndpointConnectionError: .*{dying.address}/dies/infer/val",
        line,
    )


def stop_at_layout(server, monkeypatch):
    """Stops a server once a command has found its files."""
    find_layout = tagger.find_layout

    def stopping(*arguments):
        server.stop()
        return find_layout(*arguments)

    monkeypatch.setattr(tagger, "find_layout", stopping)


@pytest.mark.slow
def test_training_on_s3_gives_the_weights_of_local_files_also_after_a_kill(local, s3, tmp_path):
    remote = [s3.put(pattern, "train") for pattern in local]
    folders = [tmp_path / name for name in ("local", "remote", "resumed")]

    def arguments(folder, patterns):
        train, validation = (f"--{name}_data_pattern={pattern}" for name, pattern in zip(("train", "validation"), patterns))
        return (*SMALL, train, validation, f"--train_dir={folder}", "--num_readers=2", "--checkpoint_minutes=0.0001")

    for folder, patterns in zip(folders, (local, remote)):
        ended = kills.train(arguments(folder, patterns), f"{folder}.log", quick=True)
        assert ended.code == 0, ended.output
    killed = kills.train(arguments(folders[2], remote), f"{folders[2]}.log", kills.Moment("step", 3, 0.0, 9), quick=True)
    assert killed.code != 0
    shutil.rmtree(tmp_path / "copies")
    resumed = kills.train(arguments(folders[2], remote), f"{folders[2]}.log2", quick=True)
    assert resumed.code == 0, resumed.output
    expected, *others = (commands.weights(folder) for folder in folders)
    for weights in others:
        assert all((one == other).all() for one, other in zip(weights, expected, strict=True))


@pytest.mark.slow
def test_a_training_whose_server_dies_ends_with_one_line_and_can_be_resumed(tmp_path, monkeypatch):
    dying = Server("dies-later")
    use(dying, tmp_path / "copies", monkeypatch)
    files = commands.write_files(tmp_path / "videos", "train", commands.frame_videos(48), 12)
    pattern = dying.put(files, "train")
    command = (*SMALL, f"--train_data_pattern={pattern}", f"--train_dir={tmp_path}/run", "--num_readers=2")
    with monkeypatch.context() as patch:
        train = loop.train
        patch.setattr(loop, "train", lambda *arguments, **options: dying.stop() or train(*arguments, **options))
        ended = commands.run("train", *command)
    assert ended.code == 2 and len(ended.lines) == 1
    assert re.match(
        rf"Error: --train_data_pattern={re.escape(pattern)}: s3://dies-later/train/train\d+.tfrecord cannot be read "
        rf"\(EndpointConnectionError: .*{dying.address}/dies-later/train/train.* Training stopped; there is no checkpoint",
        ended.err,
    )
    back = Server("back")  # the same buckets at another address
    use(back, tmp_path / "copies", monkeypatch)
    assert "Done: step 12" in commands.succeed("train", *command).out
    back.stop()
    forget_servers()

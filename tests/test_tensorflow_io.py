"""s3:// through tensorflow-io, where s3fs is not installed: `make test-io` runs these in an environment of their own."""

import importlib.util
import os
import subprocess
import sys

import pytest

from tests import commands
from tests.object_store import ACCOUNT

pytestmark = pytest.mark.skipif(not importlib.util.find_spec("tensorflow_io"), reason="needs the extra [io]")


def yt8m(address, *arguments):
    """Runs a command in a process of its own, which tensorflow-io may abort at its end; returns (exit code, output)."""
    environment = {**os.environ, **ACCOUNT, "S3_ENDPOINT": address, "TF_CPP_MIN_LOG_LEVEL": "3"}
    command = [sys.executable, "-m", "youtube8m_distill", *map(str, arguments)]
    ended = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300)
    return ended.returncode, ended.stdout + ended.stderr


def test_s3fs_is_not_installed():
    assert not importlib.util.find_spec("s3fs")


def test_commands_read_s3_and_end_with_code_0(s3_server, tmp_path):
    patterns = {
        name: s3_server.put(commands.write_files(tmp_path / "videos", name, commands.frame_videos(12)), "videos")
        for name in ("train", "val")
    }
    run, small = tmp_path / "run", (*commands.SMALL, *commands.QUICK)
    code, shown = yt8m(s3_server.address, "train", *small, f"--train_data_pattern={patterns['train']}", f"--train_dir={run}")
    assert code == 0 and "Done: step 3" in shown, shown
    arguments = (f"--train_dir={run}", "--checkpoint=last", f"--output_file={tmp_path}/p.csv")
    code, shown = yt8m(s3_server.address, "infer", f"--input_data_pattern={patterns['val']}", *arguments)
    assert code == 0 and len(commands.read_csv(tmp_path / "p.csv")) == 12, shown


def test_a_pattern_without_a_match_ends_with_code_2(s3_server):
    code, shown = yt8m(s3_server.address, "check", "--input_data_pattern=s3://bucket/none*")
    assert code == 2 and shown.startswith(
        "Error: --input_data_pattern=s3://bucket/none*: 's3://bucket/none*' matches no file"
    )


def test_a_server_that_does_not_answer_ends_with_code_2():
    code, shown = yt8m("http://127.0.0.1:9", "check", "--input_data_pattern=s3://bucket/none*")
    assert code == 2 and shown.count("\n") == 1 and "s3://bucket/none* cannot be read (" in shown, shown

"""Networks to share: what `package_run` and `save_to_preset` write, `load_model` loads, from anywhere."""

import contextlib
import functools
import hashlib
import http.server
import json
import pathlib
import re
import threading

import numpy as np
import pytest
import yaml

from tests import commands, networks
from youtube8m_distill import config, runs
from youtube8m_distill.errors import SettingError
from youtube8m_distill.runs import archive, downloads, presets
from youtube8m_distill.runs.run import COMMAND_FILE

NETWORK = networks.frame_level(
    "FrameLevelLogisticModel", view=config.FrameView(frame_selection="uniform", frames_per_video=4)
)
NAMES = {0: "Game", 1: "Vehicle, motor", 4: "Dance"}
COMMAND = "yt8m train '--train_data_pattern=yt8m/train*.tfrecord'\n"


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    run = commands.save_run(tmp_path_factory.mktemp("trained") / "run", NETWORK, steps=(3, 8))
    (run.folder / COMMAND_FILE).write_text(COMMAND)
    write_metrics(run.folder / "eval/teacher/metrics.json", 8)
    return run


def write_metrics(path, step, role="teacher"):
    scores = {"gap_at_20": 0.75, "perr": 0.5, "mean_average_precision": None, "loss": 3.0}
    found = {"network": role, "checkpoint_step": step, "eval_data_pattern": "yt8m/v*", "num_videos": 1200, **scores}
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(found))
    return path


@pytest.fixture(scope="module")
def preset(run, tmp_path_factory):
    folder = tmp_path_factory.mktemp("shared") / "student"
    presets.package_run(run, folder, names=NAMES, license="apache-2.0", data="YouTube-8M 2018")
    return folder


@pytest.fixture(scope="module")
def packed(preset, tmp_path_factory):
    path = tmp_path_factory.mktemp("packed") / "student.tar.gz"
    presets.package_run(runs.open_run(preset), path, as_archive=True)
    return path


def same_predictions(network, run):
    batch, (expected, _) = networks.batch(NETWORK, (4, 2, 1)), run.load_network()
    np.testing.assert_array_equal(networks.outputs(network, batch)["predictions"], expected(batch)["predictions"])
    return True


def front_matter(text):
    _, front, body = text.split("---\n", 2)
    return yaml.safe_load(front), body


def test_the_folder_holds_all_that_loading_needs_and_is_a_run(run, preset):
    names = ["README.md", "best/progress.json", "best/teacher.weights.h5", "config.json", "vocabulary.csv"]
    assert sorted(commands.entries(preset)) == names
    assert same_predictions(presets.load_model(preset), run)
    assert runs.open_run(preset).config == run.config
    assert presets._names_in(preset) == NAMES


def test_the_archive_holds_the_same_files(run, preset, packed, tmp_path):
    assert same_predictions(presets.load_model(packed), run)
    archive.unpack(packed, tmp_path / "new")
    assert commands.entries(tmp_path / "new") == commands.entries(preset)


def test_the_front_matter_has_the_fields_of_hugging_face(preset):
    front, _ = front_matter((preset / "README.md").read_text())
    assert front["license"] == "apache-2.0" and front["pipeline_tag"] == "video-classification"
    (model,) = front["model-index"]
    (result,) = model["results"]
    assert model["name"] == "student" and result["dataset"]["name"] == "yt8m/v*"
    assert result["metrics"] == [
        {"type": "gap_at_20", "name": "GAP@20", "value": 0.75},
        {"type": "perr", "name": "PERR", "value": 0.5},
    ]


def test_the_card_states_data_frames_scores_cost_and_command(run, preset):
    _, body = front_matter((preset / "README.md").read_text())
    assert "- YouTube-8M 2018\n" in body and "`rgb` (6), `audio` (3)" in body and "named in `vocabulary.csv`" in body
    assert "4 equal spans of the video (`uniform`), 4 at most, out of the first 300" in body
    assert f"| GAP@20 | 0.7500 | 1,200 videos in `yt8m/v*` | `{run.folder}/eval/teacher/metrics.json` |" in body
    # Of 9 numbers to 5 classes: weights and biases; one product each for the mean.
    assert "- 50 parameters, 200 bytes in float32." in body and "- 45 multiply-adds for a video of 4 frames." in body
    assert f"```sh\n{COMMAND}```" in body and "Step 8, 1 epoch(s)" in body
    assert body.startswith("\n# student\n") and "## License\n\napache-2.0\n" in body


def test_without_scores_names_and_license_the_card_says_so(tmp_path):
    run = commands.save_run(tmp_path / "run", networks.video_level("LogisticModel"))
    write_metrics(run.folder / "eval/teacher/metrics.json", 2)  # of another checkpoint
    presets.package_run(run, tmp_path / "out")
    front, body = front_matter((tmp_path / "out/README.md").read_text())
    assert "license" not in front and "model-index" not in front
    for words in (
        "The network has not been scored.",
        "has named no license",
        "by number only",
        "mean features of the whole",
    ):
        assert words in body
    assert "```sh\nyt8m train" not in body


def test_scores_of_the_validation_during_training_are_named(tmp_path):
    run = commands.save_run(tmp_path / "run", NETWORK)
    path = run.weights_folder() / "progress.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "best_step": 3, "best_value": 0.8125}))
    presets.package_run(run, tmp_path / "out")
    assert (
        "| GAP@20 | 0.8125 | the validation files, on which this step was chosen |"
        in (tmp_path / "out/README.md").read_text()
    )


def test_the_card_of_a_parallel_student_names_its_teacher(tmp_path):
    both = config.RunConfig(
        mode="parallel",
        networks={"teacher": NETWORK, "student": NETWORK},
        training=config.TrainingConfig(),
        distillation=config.DistillationConfig(student_loss=("pred", "ce")),
    )
    run = runs.prepare_run(tmp_path / "run", both)
    commands.save_checkpoint(run, 4)
    teacher = run.checkpoints.step_folder(4) / "teacher.weights.h5"
    teacher.with_name("student.weights.h5").write_bytes(teacher.read_bytes())
    presets.package_run(run, tmp_path / "out")
    _, body = front_matter((tmp_path / "out/README.md").read_text())
    assert "A student, distilled from a teacher, that" in body and "Mode parallel, losses of the student: pred, ce." in body
    assert "It also holds the other network of its training (`--network=teacher`)." in body
    assert presets.load_model(tmp_path / "out", "teacher").name == "teacher"


def test_scores_of_segments_are_called_so(tmp_path):
    run = commands.save_run(tmp_path / "run", NETWORK)
    path = write_metrics(tmp_path / "m.json", 3)
    path.write_text(json.dumps({**json.loads(path.read_text()), "num_rated": 7}))
    presets.package_run(run, tmp_path / "out", metrics_files=[path])
    assert "| GAP@20 | 0.7500 | 1,200 segments in `yt8m/v*` |" in (tmp_path / "out/README.md").read_text()


def test_a_card_that_was_edited_is_kept(preset, tmp_path):
    (copy := tmp_path / "copy").mkdir()
    for name, content in commands.entries(preset).items():
        (copy / name).parent.mkdir(exist_ok=True)
        (copy / name).write_bytes(content)
    (copy / "README.md").write_text("My card: \u00e9\n")
    presets.package_run(runs.open_run(copy), tmp_path / "out", names={0: "Other"})
    assert (tmp_path / "out/README.md").read_text() == "My card: \u00e9\n"
    assert (tmp_path / "out/vocabulary.csv").read_text() == "Index,Name\n0,Other\n"
    with pytest.raises(SettingError, match="license=mit: has no effect: .*README.md is taken as the model card"):
        presets.package_run(runs.open_run(copy), tmp_path / "new", license="mit")


def test_a_readme_that_is_no_text_is_refused(tmp_path):
    run = commands.save_run(tmp_path / "run", NETWORK)
    (run.folder / "README.md").write_bytes(b"\xff\xfe")
    with pytest.raises(ValueError, match="README.md is not a text in UTF-8"):
        presets.package_run(run, tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("license", ["Apache 2.0", "a\nb", "-mit", 'x"'])
def test_a_license_that_is_no_identifier_is_refused(run, tmp_path, license):
    with pytest.raises(SettingError, match="(?s)license=.*: give an identifier, such as apache-2.0"):
        presets.package_run(run, tmp_path / "out", license=license)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("step, role", [(3, "teacher"), (8, "student"), (None, None)])
def test_scores_of_another_checkpoint_or_of_nothing_are_refused(run, tmp_path, step, role):
    path = write_metrics(tmp_path / "m.json", step, role)
    with pytest.raises(SettingError, match=f"is about the {role} of step {step}, not the teacher of step 8"):
        presets.package_run(run, tmp_path / "out", metrics_files=[path])
    path.write_text("[]" if step == 3 else "no JSON")
    with pytest.raises(SettingError, match="metrics_files=.*m.json: is not a metrics.json of `yt8m eval`"):
        presets.package_run(run, tmp_path / "out", metrics_files=[path])
    with pytest.raises(SettingError, match=r"metrics_files=.*none\.json: cannot be read: No such file"):
        presets.package_run(run, tmp_path / "out", metrics_files=[tmp_path / "none.json"])
    assert not (tmp_path / "out").exists()


def test_a_network_from_python_is_saved_with_its_configuration(tmp_path):
    network = networks.build(NETWORK, seed=5)
    run = presets.save_to_preset(network, tmp_path / "mine", NETWORK, NAMES, "mit", "My clips")
    batch = networks.batch(NETWORK, (4, 2, 1))
    found = networks.outputs(presets.load_model(tmp_path / "mine"), batch)["predictions"]
    np.testing.assert_array_equal(found, networks.outputs(network, batch)["predictions"])
    assert run.config.networks == {"teacher": NETWORK} and presets._names_in(run.folder) == NAMES
    text = (tmp_path / "mine/README.md").read_text()
    assert "license: mit" in text and "trained in Python" in text and "- My clips" in text


def test_a_configuration_of_another_network_is_refused(tmp_path):
    other = networks.frame_level("FrameLevelLogisticModel", num_classes=6)
    with pytest.raises(SettingError, match="describes a network of 60 weights; this one has 50"):
        presets.save_to_preset(networks.build(NETWORK), tmp_path / "mine", other)
    assert not list(tmp_path.iterdir())


def test_keras_files_are_loaded_as_before(tmp_path):
    network = networks.build(NETWORK, seed=5)
    network.save(tmp_path / "network.keras")
    batch = networks.batch(NETWORK, (4, 2))
    found = networks.outputs(presets.load_model(tmp_path / "network.keras"), batch)["predictions"]
    np.testing.assert_array_equal(found, networks.outputs(network, batch)["predictions"])


def test_the_card_of_a_strided_network_says_which_frames_it_reads(tmp_path):
    view = config.FrameView(frame_selection="strided", every_n=2, max_video_frames=9)
    network = networks.frame_level("FrameLevelLogisticModel", view=view)
    presets.save_to_preset(networks.build(network), tmp_path / "strided", network)
    card = (tmp_path / "strided/README.md").read_text()
    assert "The network reads one of every 2 frames (`strided`), 5 at most, out of the first 9." in card


class Quiet(http.server.SimpleHTTPRequestHandler):
    """Serves a folder without logging.

    Of `short`, it sends less than it announces; `moved` is `student.tar.gz`; the length of `odd` and `long` is not a number.
    """

    def log_message(self, *_):
        pass

    def do_GET(self):
        if self.path == "/short":
            self.send_response(200)
            self.send_header("Content-Length", "1000")
            self.end_headers()
            self.wfile.write(b"little")
        elif self.path == "/odd" or self.path.startswith("/long/"):
            self.send_response(200)
            self.send_header("Content-Length", "-5")
            self.end_headers()
            self.wfile.write(b"some bytes")
        elif self.path == "/moved":
            self.send_response(302)
            self.send_header("Location", "/student.tar.gz")
            self.end_headers()
        else:
            super().do_GET()


@contextlib.contextmanager
def serving(folder):
    """The address of a server of the files in a folder."""
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=str(folder)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()


@pytest.fixture
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("KERAS_HOME", str(tmp_path / "keras"))
    return tmp_path / "keras/youtube8m_distill"


def sha256(path):
    return hashlib.sha256(pathlib.Path(path).read_bytes()).hexdigest()


def test_an_archive_is_downloaded_once(run, packed, cache):
    with serving(packed.parent) as address:
        url = f"{address}/student.tar.gz"
        assert same_predictions(presets.load_model(f"{url}#sha256={sha256(packed)}"), run)
    # The server is gone.
    assert same_predictions(presets.load_model(url), run)
    assert [path.name[16:] for path in cache.iterdir()] == ["-student.tar.gz"]


def test_redirects_are_followed(packed, cache):
    with serving(packed.parent) as address:
        assert sha256(downloads.download(f"{address}/moved")) == sha256(packed)


def test_the_file_of_an_address_with_a_long_name_has_a_shorter_one(packed, cache):
    with serving(packed.parent) as address:
        path = downloads.download(f"{address}/long/{'x' * 300}.tgz")
        other = downloads.download(f"{address}/long/{'y' + 'x' * 299}.tgz")
    assert path.read_bytes() == other.read_bytes() == b"some bytes" and path != other
    assert path.name.endswith("-" + "x" * 196 + ".tgz") and len(path.name) == 217


def test_a_length_that_is_not_a_number_is_ignored(packed, cache):
    with serving(packed.parent) as address:
        assert downloads.download(f"{address}/odd").read_bytes() == b"some bytes"


def test_another_digest_is_refused_and_nothing_is_kept(packed, cache):
    with serving(packed.parent) as address:
        with pytest.raises(ValueError, match=f"has the SHA-256 {sha256(packed)}, not the expected {'0' * 64}"):
            presets.load_model(f"{address}/student.tar.gz#sha256={'0' * 64}")
    assert not list(cache.iterdir())


def test_a_cached_file_with_another_digest_is_downloaded_again(packed, cache):
    with serving(packed.parent) as address:
        path = downloads.download(f"{address}/student.tar.gz")
        path.write_bytes(b"of an earlier version")
        assert downloads.download(f"{address}/student.tar.gz") == path and path.read_bytes() == b"of an earlier version"
        downloads.download(f"{address}/student.tar.gz#sha256={sha256(packed)}")
    assert sha256(path) == sha256(packed)


@pytest.mark.parametrize(
    "path, message",
    [
        ("/none.tgz", "/none.tgz cannot be downloaded: 404 File not found."),
        ("/short", "/short cannot be downloaded: the connection ended after 6 of 1,000 bytes."),
    ],
)
def test_a_download_that_fails_keeps_nothing(packed, cache, path, message):
    with serving(packed.parent) as address, pytest.raises(OSError) as raised:
        presets.load_model(address + path)
    assert str(raised.value).endswith(message) and not list(cache.iterdir())


@pytest.mark.parametrize("address", ["http://127.0.0.1:port/a.tgz", "http:///a.tgz", "http://[::1/a.tgz"])
def test_an_address_that_is_none_is_refused(address, cache):
    with pytest.raises((OSError, ValueError), match=f"{re.escape(address)} cannot be downloaded: "):
        presets.load_model(address)


def test_a_server_that_is_not_there_is_named(packed, cache):
    with serving(packed.parent) as address:
        pass
    with pytest.raises(OSError, match=f"{address}/a.tgz cannot be downloaded: .*refused"):
        presets.load_model(f"{address}/a.tgz")


@pytest.mark.parametrize(
    "url, reason",
    [
        ("ftp://host/a.tgz", "only http:// and https:// can"),
        ("file:///etc/passwd", "only http:// and https:// can"),
        ("http://host/a.tgz#sha256=12", "what follows # must be sha256= and 64 digits from 0 to f"),
        ("http://host/a.tgz#md5=12", "what follows # must be sha256="),
    ],
)
def test_other_addresses_are_refused(url, reason, cache):
    with pytest.raises(ValueError, match=f"{re.escape(url)} cannot be downloaded: {reason}"):
        presets.load_model(url)


def test_something_else_at_an_address_is_refused_and_not_kept(run, packed, tmp_path, cache):
    (tmp_path / "student.tgz").write_text("<html>")
    with serving(tmp_path) as address:
        url = f"{address}/student.tgz"
        with pytest.raises(ValueError, match=f"{url} does not hold a network: .* is damaged, or not a .tgz archive"):
            presets.load_model(url)
        (tmp_path / "student.tgz").write_bytes(packed.read_bytes())
        assert same_predictions(presets.load_model(url), run)

"""What README and the manual say works as written: commands, programs, the notebook, the worked example."""

import json
import os
import pathlib
import re
import shlex
import shutil
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest

from tests import commands as in_process
from tests import networks, records, stand_ins
from youtube8m_distill.cli.main import COMMANDS

ROOT = pathlib.Path(__file__).parents[1]
PAGES = {
    path.relative_to(ROOT).as_posix(): path.read_text(encoding="utf-8")
    for path in [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
}
# Pages whose Python blocks are run, after their commands.
RUN_PROGRAMS = "docs/export.md", "docs/own-videos.md", "docs/sharing.md"
OWN_VIDEOS = "docs/own-videos.md"
SCRIPTS = {"train.py": "train", "eval.py": "eval", "inference.py": "infer"}

# Flags that make a documented command end soon.
SMALL = {
    "synthesize": [
        "--num_classes=10",
        "--num_train_videos=40",
        "--num_validate_videos=30",
        "--num_test_videos=5",
        "--videos_per_shard=20",
        "--max_frames=40",
    ],
    "train": ["--batch_size=16", "--num_epochs=1"],
    "reproduce": [
        "--num_classes=10",
        "--lstm_cells=4",
        "--batch_size=2",  # a tenth of the training videos must fill a batch
        "--num_epochs=1",
        "--ks=4",
        "--families=HierarchicalLstmModel",
        "--methods=skyline,uniform",
    ],
    "reproduce mod": [
        "--num_classes=10",
        "--nextvlad_cluster_size=4",
        "--nextvlad_hidden_size=16",
        "--expansion=1",
        "--batch_size=4",
        "--num_epochs=1",
        "--finetune_batch_size=4",
        "--finetune_epochs=1",
        "--dry_run",  # the networks of MODNeXtVLAD alone take minutes to build
    ],
}


def code_blocks(page, language):
    return re.findall(rf"```{language}\n(.*?)```", PAGES[page], re.DOTALL)


def commands(page, *languages):
    """(name, arguments) of each `yt8m` and `python` command in a page's shell blocks, in order."""
    found = []
    text = "\n".join(block for language in languages for block in code_blocks(page, language))
    for line in text.replace("\\\n", " ").splitlines():
        words = shlex.split(line, comments=True)
        if words[:1] == ["yt8m"]:
            found.append((words[1], words[2:]))  # with options of Beam, if any, after `--`
        elif words[:3] == ["python", "-m", "reproduce"]:
            found.append(("reproduce", words[3:]))
        elif words[:1] == ["python"] and words[1] in SCRIPTS:
            found.append((SCRIPTS[words[1]], words[2:]))
    return found


def test_the_first_page_lists_every_command():
    listed = re.findall(r"^\| `yt8m ([\w-]+)` \|", PAGES["docs/index.md"], re.MULTILINE)
    assert sorted(listed) == sorted(COMMANDS)


WITH_COMMANDS = [page for page in PAGES if commands(page, "sh")]


def run(name, arguments, folder):
    module = ["reproduce"] if name == "reproduce" else ["youtube8m_distill", name]
    done = subprocess.run(
        [sys.executable, "-m", *module, *arguments],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, f"{name} {arguments}\n{done.stdout}\n{done.stderr}"
    return done.stdout


def small(name, arguments):
    """The arguments of a documented command with small sizes; a serial student has its teacher's, or those of its family."""
    if arguments[:1] == ["report"]:
        return arguments
    arguments = [argument for argument in arguments if not argument.startswith(("--num_classes", "--gating_reduction"))]
    if name == "train":
        serial = "--mode=serial" in arguments
        flag, default = ("--student_model=", None) if serial else ("--model=", "HierarchicalLstmModel")
        model = next((a.removeprefix(flag) for a in arguments if a.startswith(flag)), default)
        sizes = {**({} if serial else {"num_classes": 10}), **networks.TINY.get(model, {})}
        arguments = [*arguments, *(f"--{setting}={value}" for setting, value in sizes.items())]
    is_mod = name == "reproduce" and arguments[0].startswith("mod_")
    # Weights of Keras Applications may be out of reach.
    arguments = [re.sub("^--extractor=keras:.*", "--extractor=stand_in:vectors", argument) for argument in arguments]
    return arguments + SMALL.get("reproduce mod" if is_mod else name, [])


@pytest.fixture(scope="session")
def sample_set(tmp_path_factory):
    folder = tmp_path_factory.mktemp("sample_set")
    run("synthesize", ["--output_dir=yt8m/frame", "--video_level", *SMALL["synthesize"]], folder)
    run("synthesize", ["--output_dir=yt8m/segments", "--segments", *SMALL["synthesize"]], folder)
    (folder / "yt8m/video").symlink_to(folder / "yt8m/frame/video_level")
    return folder / "yt8m"


def write_other_records(folder):
    """Files of other extractors: MediaPipe's, a set with gaps and labels under another name, AudioSet's; rated segments."""
    sizes = (("rgb", 1024), ("audio", 128))
    floats = records.random_frames(5, sizes, dtype=np.float32)
    mediapipe = {"RGB/feature/floats": floats["rgb"], "AUDIO/feature/floats": floats["audio"]}
    (folder / "video.pb").write_bytes(records.frame_record(mediapipe, video_id=None, labels=None))
    own = [
        records.frame_record({"rgb": frames["rgb"], "audio": frames["audio"][:-1]}, b"v%d" % i, None, label=[i % 10])
        for i, frames in enumerate(records.random_frames(5, sizes, seed=i) for i in range(16))
    ]
    audio = [records.random_frames(10, (("audio_embedding", 128),), seed=i) for i in range(16)]
    clips = [records.frame_record(frames, b"c%d" % i, [i % 10], "video_id") for i, frames in enumerate(audio)]
    ratings = {f"segment_{name}": [number] for name, number in (("labels", 3), ("start_times", 5), ("end_times", 10))}
    rated = [records.frame_record(records.random_frames(9, sizes), b"abcd", [3], segment_scores=[1.0], **ratings)]
    (folder / "submission.csv").write_text("Class,Segments\n3,abcd:5 efgh:0\n7,\n")
    (folder / "classes.csv").write_text("\n".join(map(str, range(100))))
    for name, videos in (("own/train0", own), ("audioset/train0", clips), ("yt8m/segments/validate0", rated)):
        (folder / name).parent.mkdir(exist_ok=True)
        records.write(folder / f"{name}.tfrecord", videos)


def write_own_videos(folder):
    """What the page on own videos starts from: clips with labels, files of the official extractors, arrays."""
    from tests import clips  # needs PyAV, which the environment of Apache Beam does not have

    names = [f"clips/train/a{number}.mp4" for number in range(16)] + [f"clips/validate/b{number}.mp4" for number in range(4)]
    for name in [*names, "new.mp4"]:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        clips.write(folder / name, clips.at_rate(5, 2), draw=lambda number: clips.picture(number + len(name)))
    classes = ["Swimming", "Dog", "Cooking"]
    labels = [f"{pathlib.Path(name).name},{classes[i % 3]}{';Dog' if i % 3 == 0 else ''}" for i, name in enumerate(names)]
    (folder / "labels.csv").write_text("\n".join(["file,labels", *labels]))
    (folder / "classes.txt").write_text("\n".join(classes))
    program = "def vectors(frames):\n    return frames.reshape(len(frames), -1)[:, :1280] / 255\n"
    (folder / "stand_in.py").write_text(program)
    for name in ("extractor", "arrays"):
        (folder / name).mkdir()
    stand_ins.write_inception(folder / "extractor")
    stand_ins.write_vggish(folder / "extractor")
    rows = ["file,labels"]
    for number in range(40):
        np.save(folder / f"arrays/{number}.npy", np.random.default_rng(number).normal(size=(6, 64)))
        rows.append(f"arrays/{number}.npy,{number % 3}")
    (folder / "arrays.csv").write_text("\n".join(rows))


@pytest.mark.slow
@pytest.mark.parametrize("page", WITH_COMMANDS)
def test_commands_of_a_page_run_as_written(page, sample_set, tmp_path):
    if page == "docs/beam.md":
        pytest.importorskip("apache_beam")  # `make test-beam` has it
    shutil.copytree(sample_set, tmp_path / "yt8m", symlinks=False)
    np.save(tmp_path / "eigenvals.npy", np.linspace(14, 0.01, 2048))
    write_other_records(tmp_path)
    if page == OWN_VIDEOS:
        write_own_videos(tmp_path)
    for path in re.findall(r"> (data\.flags)", PAGES[page]):
        lines = re.search(r"printf (.*?) > data\.flags", PAGES[page], re.DOTALL)[1]
        (tmp_path / path).write_text("\n".join(shlex.split(lines.replace("\\\n", " "))[1:]) + "\n")
    for name, arguments in commands(page, "sh"):
        if name != "synthesize":  # the sample set is already there
            run(name, small(name, arguments), tmp_path)
    if page in RUN_PROGRAMS:
        for program in code_blocks(page, "python"):
            subprocess.run(
                [sys.executable, "-c", program], cwd=tmp_path, env={**os.environ, "PYTHONPATH": str(ROOT)}, check=True
            )
    for written in tmp_path.glob("predictions*"):
        assert len(pd.read_csv(written)) == (50 if ".names." in written.name else 5)  # 5 videos, 10 classes


def test_documented_flags_exist():
    names = [name for name in COMMANDS if name != "demo"]
    helps = {name: in_process.succeed(name, "--helpfull").out for name in names}
    known = {name: set(re.findall(r"^ *--(?:\[no\])?(\w+)", text, re.MULTILINE)) for name, text in helps.items()}
    for page in PAGES:
        for name, arguments in commands(page, "sh", "bash"):
            arguments = [*arguments, "--"][: [*arguments, "--"].index("--")]
            flags = {word.removeprefix("--").partition("=")[0] for word in arguments if word.startswith("--")} - {"flagfile"}
            if name in known:
                assert {flag if flag in known[name] else flag.removeprefix("no") for flag in flags} <= known[name], page


def test_every_family_has_a_documented_command():
    from youtube8m_distill import config

    text = "\n".join(" ".join(arguments) for _, arguments in commands("docs/families.md", "sh"))
    assert all(f"--model={model}" in text for model in config.MODELS)


@pytest.mark.slow
def test_the_notebook_runs(tmp_path):
    import nbclient
    import nbformat

    notebook = nbformat.read(ROOT / "examples/teacher_to_student.ipynb", as_version=4)
    os.environ["PYTHONPATH"] = str(ROOT)
    nbclient.NotebookClient(notebook, timeout=600, resources={"metadata": {"path": str(tmp_path)}}).execute()
    printed = str([cell.get("outputs") for cell in notebook.cells])
    assert "gap_at_20" in printed
    assert len(pd.read_csv(tmp_path / "predictions.csv")) == 64
    assert (tmp_path / "student.keras").exists()


def test_the_python_page_shows_the_notebook_s_program():
    (program,) = code_blocks("docs/python.md", "python")
    cells = json.loads((ROOT / "examples/teacher_to_student.ipynb").read_text(encoding="utf-8"))["cells"]
    code = "\n".join("".join(cell["source"]) for cell in cells if cell["cell_type"] == "code")
    assert [line for line in program.splitlines() if line] == [line for line in code.splitlines() if line]


@pytest.mark.slow
def test_the_family_of_the_worked_example_trains(tmp_path):
    settings, encoder, entry = code_blocks("docs/adding-a-family.md", "python")
    assert len([line for block in (settings, encoder) for line in block.splitlines() if line]) <= 42
    shutil.copytree(ROOT / "youtube8m_distill", tmp_path / "youtube8m_distill", ignore=shutil.ignore_patterns("__pycache__"))
    families = tmp_path / "youtube8m_distill/families"
    (families / "max_pool").mkdir()
    for name, text in (("__init__", ""), ("settings", settings), ("encoder", encoder)):
        (families / f"max_pool/{name}.py").write_text(text)
    import_line, addition = entry.split("\n\n")
    listed = (families / "__init__.py").read_text().replace("\n\nFAMILIES = (", f"\n{import_line}\n\nFAMILIES = (")
    name = re.search(r"(\w+Settings)\)", addition)[1]
    (families / "__init__.py").write_text(listed.replace("\n)\n", f"\n    {name},\n)\n"))
    (tmp_path / "program.py").write_text(FAMILY_PROGRAM)

    def python(*arguments):
        environment = {**os.environ, "PYTHONPATH": str(tmp_path)}
        done = subprocess.run([sys.executable, *arguments], cwd=tmp_path, env=environment, capture_output=True, text=True)
        return done.stdout + done.stderr[-2000:]

    assert "--max_pool_size" in python("-m", "youtube8m_distill", "train", "--helpshort")
    assert "it trains, and padding changes nothing" in python("program.py")


FAMILY_PROGRAM = """
import numpy as np
import tensorflow as tf

import youtube8m_distill as yt8m

view = yt8m.FrameView(frame_selection="first", frames_per_video=4)
features = yt8m.FeatureConfig(sizes=(6, 2))
config = yt8m.network_config("MaxPoolModel", 5, features, view, max_pool_size=3)
network = yt8m.build_model(config, name="teacher")
frames = np.random.default_rng(0).integers(0, 256, (2, 4, 8), np.uint8)
padded = np.where(np.arange(4)[:, None] < 2, frames, 255)
seen = [network({"frames": f, "num_frames": np.array([2, 2])})["encoding"] for f in (frames, padded)]
np.testing.assert_array_equal(*seen)
scheme = yt8m.Supervised(network, "teacher")
scheme.compile(optimizer="adam")
batch = {"teacher": {"frames": frames, "num_frames": np.array([4, 3])}, "labels": np.eye(2, 5)}
before = [np.copy(w) for w in network.get_weights()]
scheme.fit(tf.data.Dataset.from_tensors(batch), verbose=0)
assert any((a != b).any() for a, b in zip(before, network.get_weights()))
print("it trains, and padding changes nothing")
"""


def test_every_promise_names_tests_that_exist():
    rows = [line for line in PAGES["docs/reliability.md"].splitlines() if line.startswith("| ") and "`test_" in line]
    tests = {
        name
        for path in (ROOT / "tests").rglob("test_*.py")
        for name in re.findall(r"^def (test_\w+)", path.read_text(encoding="utf-8"), re.MULTILINE)
    }
    assert len(rows) > 15
    for row in rows:
        named = set(re.findall(r"`(test_\w+)`", row))
        assert named <= tests, named - tests


def test_every_make_target_named_exists():
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    for page, text in PAGES.items():
        if page.startswith("docs/results/"):  # tells what was run at the time
            continue
        for target in set(re.findall(r"`make ([a-z-]+)", text)):
            assert re.search(rf"^{target}:", makefile, re.MULTILINE), (page, target)


def test_links_of_the_readme_lead_to_files():
    for link in re.findall(r"\]\(([^)#]+)", PAGES["README.md"]):
        assert link.startswith("http") or (ROOT / link).exists(), link

"""Archives of models: unpacking gives the packed run, and refuses anything else."""

import dataclasses
import gzip
import io
import pickle
import tarfile

import numpy as np
import pytest

from tests import commands, networks
from youtube8m_distill import config, runs
from youtube8m_distill.runs import archive

NETWORK = networks.frame_level("FrameLevelLogisticModel", "LogisticModel")
PARALLEL = {"teacher": NETWORK, "student": NETWORK}


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return commands.save_run(tmp_path_factory.mktemp("trained") / "run", NETWORK, steps=(3, 8))


@pytest.fixture
def packed(run, tmp_path):
    archive.pack(run, "best", tmp_path / "model.tgz")
    return tmp_path / "model.tgz"


def members(path):
    """[(TarInfo, bytes)] of an archive."""
    with tarfile.open(path) as file:
        return [(member, file.extractfile(member).read()) for member in file]


def write(path, entries, kind=tarfile.USTAR_FORMAT):
    """Writes (TarInfo or name, bytes) as a .tgz; keeps the size of a TarInfo that has one."""
    with tarfile.open(path, "w:gz", format=kind) as file:
        for member, content in entries:
            if isinstance(member, str):
                member = tarfile.TarInfo(member)
            member.size = member.size or len(content)
            file.addfile(member, io.BytesIO(content) if member.isreg() else None)
    return path


def special(name, kind, target=""):
    member = tarfile.TarInfo(name)
    member.type, member.linkname = kind, target
    return member


def refused(path, folder, words):
    """Unpacking fails with these words and leaves everything as it was."""
    before = commands.entries(folder.parent)
    with pytest.raises(ValueError, match=words):
        archive.unpack(path, folder)
    assert commands.entries(folder.parent) == before and not folder.exists()
    assert not list(folder.parent.glob(".*.partial"))


@pytest.mark.parametrize("checkpoint, step", [("best", 8), ("last", 8), (3, 3)])
def test_unpacking_gives_the_packed_run(run, tmp_path, checkpoint, step):
    archive.pack(run, checkpoint, tmp_path / "deep" / "model.tgz")
    found = archive.unpack(tmp_path / "deep" / "model.tgz", tmp_path / "new")
    assert found.config == run.config and found.folder == tmp_path / "new"
    ours, progress = run.load_network(checkpoint=checkpoint)
    theirs, their_progress = found.load_network()
    assert progress == their_progress and progress.step == step
    for a, b in zip(ours.get_weights(), theirs.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)


def test_both_networks_of_a_parallel_run_are_packed(tmp_path):
    both = config.RunConfig(
        mode="parallel",
        networks=PARALLEL,
        training=config.TrainingConfig(),
        distillation=config.DistillationConfig(student_loss=("pred", "ce")),
    )
    run = runs.prepare_run(tmp_path / "run", both)
    commands.save_checkpoint(run, 4)
    teacher = run.checkpoints.step_folder(4) / "teacher.weights.h5"
    teacher.with_name("student.weights.h5").write_bytes(teacher.read_bytes())
    archive.pack(run, 4, tmp_path / "model.tgz")
    found = archive.unpack(tmp_path / "model.tgz", tmp_path / "new")
    for role in PARALLEL:
        assert found.load_network(role)[1].step == 4


def test_an_archive_holds_only_configuration_progress_and_weights(packed):
    assert [member.name for member, _ in members(packed)] == ["config.json", "best/progress.json", "best/teacher.weights.h5"]
    assert all(member.isreg() and not member.mtime and not member.uid and not member.uname for member, _ in members(packed))


def test_the_same_run_gives_the_same_bytes(run, packed, tmp_path):
    archive.pack(run, "last", tmp_path / "other name.tgz")
    assert packed.read_bytes() == (tmp_path / "other name.tgz").read_bytes()


def test_the_same_archive_may_be_unpacked_again(packed, tmp_path):
    first = archive.unpack(packed, tmp_path / "new")
    (tmp_path / "new" / "eval").mkdir()
    (tmp_path / "new" / "eval" / "metrics.json").write_text("{}")
    before = commands.entries(tmp_path)
    assert archive.unpack(packed, tmp_path / "new") == first
    assert commands.entries(tmp_path) == before


def test_a_folder_with_something_else_is_refused(run, packed, tmp_path):
    (tmp_path / "new").mkdir()
    assert archive.unpack(packed, tmp_path / "new").config == run.config  # empty: fine
    archive.pack(run, 3, tmp_path / "other.tgz")
    before = commands.entries(tmp_path)
    with pytest.raises(ValueError, match=r"untar_model_dir=.*new: does not hold the model in .*other.tgz"):
        archive.unpack(tmp_path / "other.tgz", tmp_path / "new")
    with pytest.raises(ValueError, match="untar_model_dir=.*: exists and is not a folder"):
        archive.unpack(packed, packed)
    assert commands.entries(tmp_path) == before


def test_a_missing_archive_or_checkpoint_is_reported(run, tmp_path):
    with pytest.raises(FileNotFoundError, match="absent.tgz is not a file; name an archive that --output_model_tgz"):
        archive.unpack(tmp_path / "absent.tgz", tmp_path / "new")
    with pytest.raises(ValueError, match="checkpoint=5"):
        archive.pack(run, 5, tmp_path / "model.tgz")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "name",
    [
        "/tmp/yt8m_evil",
        "best/../../evil",
        "./config.json",
        "best/training_state.npz",
        "config.json/x",
        "CONFIG.JSON",
        "best\\teacher.weights.h5",
        "",
    ],
)
def test_an_unexpected_name_is_refused(packed, tmp_path, name):
    hostile = write(tmp_path / "hostile.tgz", [*members(packed), (name, b"evil")])
    refused(hostile, tmp_path / "new", "it holds .*, which no such archive does")


@pytest.mark.parametrize(
    "kind",
    [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.FIFOTYPE, tarfile.DIRTYPE, tarfile.GNUTYPE_SPARSE, b"z"],
)
def test_only_regular_files_are_accepted(packed, tmp_path, kind):
    entries = [
        (special("best/progress.json", kind, "/etc/passwd"), b"")
        if member.name.endswith("progress.json")
        else (member, content)
        for member, content in members(packed)
    ]
    refused(write(tmp_path / "hostile.tgz", entries), tmp_path / "new", "best/progress.json in it is not a regular file")


def test_nothing_is_written_through_a_link(packed, tmp_path):
    (tmp_path / "far").mkdir()
    link = special("best", tarfile.SYMTYPE, str(tmp_path / "far"))
    refused(write(tmp_path / "hostile.tgz", [(link, b""), *members(packed)]), tmp_path / "new", "it holds 'best'")
    assert not list((tmp_path / "far").iterdir())


@pytest.mark.parametrize("kind", [tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_extended_headers_are_refused(packed, tmp_path, kind):
    hostile = write(tmp_path / "hostile.tgz", [("best/" + "x" * 300, b"evil"), *members(packed)], kind)
    refused(hostile, tmp_path / "new", "which no such archive does|not a regular file")


def test_a_duplicate_file_is_refused(packed, tmp_path):
    refused(
        write(tmp_path / "hostile.tgz", [*members(packed), members(packed)[0]]),
        tmp_path / "new",
        "it holds config.json twice",
    )


@pytest.mark.parametrize(
    "name, size",
    [
        ("config.json", 2**20 + 1),
        ("best/teacher.weights.h5", 2**33),
        ("best/teacher.weights.h5", 2**60),
        ("best/progress.json", -512),
    ],
)
def test_a_file_that_is_too_large_is_refused_before_it_is_read(packed, tmp_path, name, size):
    member = tarfile.TarInfo(name)
    member.size = size
    with gzip.open(tmp_path / "hostile.tgz", "wb") as file:
        file.write(member.tobuf(tarfile.GNU_FORMAT))
    refused(tmp_path / "hostile.tgz", tmp_path / "new", rf"{name} in it has {size:,} bytes; at most ")


def test_data_after_the_end_is_refused(packed, tmp_path):
    content = gzip.decompress(packed.read_bytes())
    (tmp_path / "hostile.tgz").write_bytes(gzip.compress(content + bytes(2**26)))
    refused(tmp_path / "hostile.tgz", tmp_path / "new", "it continues after its end")


@pytest.mark.parametrize(
    "change",
    [
        lambda data: b"",
        lambda data: data[:-1],
        lambda data: data[: len(data) // 2],
        lambda data: data[:20],
        lambda data: gzip.compress(gzip.decompress(data)[:700]),
        lambda data: gzip.compress(b"x" * 2000),
        lambda data: gzip.compress(b""),
        gzip.decompress,
        pickle.dumps,
        lambda data: data[:-8] + bytes(8),
        lambda data: data[: len(data) // 2] + bytes(8) + data[len(data) // 2 + 8 :],
        lambda data: data + b"more",
    ],
)
def test_a_damaged_archive_is_refused(packed, tmp_path, change):
    (tmp_path / "hostile.tgz").write_bytes(change(packed.read_bytes()))
    refused(tmp_path / "hostile.tgz", tmp_path / "new", "hostile.tgz is (damaged, or not a .tgz|not a model that)")


@pytest.mark.parametrize("name", ["config.json", "cascade.json", "export.json"])
def test_a_file_of_a_folder_is_not_taken_for_a_damaged_archive(tmp_path, name):
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / name).write_text("{}")
    words = f"run/{name} is one file of a folder; name the folder, {tmp_path}/run"
    refused(tmp_path / "run" / name, tmp_path / "new", words)


@pytest.mark.parametrize(
    "left_out, words",
    [
        ("config.json", "it holds no config.json"),
        ("best/teacher.weights.h5", "needs .*teacher.weights.h5, but it holds config.json, best/progress.json"),
        ("best/progress.json", "needs .*, but it holds config.json, best/teacher"),
    ],
)
def test_an_incomplete_archive_is_refused(packed, tmp_path, left_out, words):
    entries = [entry for entry in members(packed) if entry[0].name != left_out]
    refused(write(tmp_path / "hostile.tgz", entries), tmp_path / "new", f"not a model that .* wrote: .*{words}")


def test_weights_that_the_configuration_does_not_need_are_refused(packed, tmp_path):
    refused(
        write(tmp_path / "hostile.tgz", [*members(packed), ("best/student.weights.h5", b"evil")]),
        tmp_path / "new",
        "its configuration needs",
    )


@pytest.mark.parametrize(
    "name, content",
    [
        ("config.json", b"[]"),
        ("config.json", b"\xff"),
        ("config.json", b'{"format": 2}'),
        ("config.json", b"[" * 100_000),
        ("best/progress.json", b"{"),
        ("best/progress.json", b"[]"),
        ("best/progress.json", b'{"x": 1}'),
    ],
)
def test_invalid_content_is_refused(packed, tmp_path, name, content):
    entries = [(name, content) if member.name == name else (member, old) for member, old in members(packed)]
    refused(write(tmp_path / "hostile.tgz", entries), tmp_path / "new", "not a model that --output_model_tgz wrote: ")


def test_a_network_too_large_to_unpack_is_not_packed(run, tmp_path, monkeypatch):
    monkeypatch.setitem(archive.LIMITS, "best/teacher.weights.h5", 100)
    with pytest.raises(ValueError, match="teacher.weights.h5 has .* bytes; an archive takes at most 100"):
        archive.pack(run, "best", tmp_path / "model.tgz")
    assert not list(tmp_path.iterdir())


def test_packing_replaces_an_archive_only_when_the_new_one_is_complete(run, packed, monkeypatch):
    before = packed.read_bytes()
    monkeypatch.setattr(tarfile.TarFile, "addfile", lambda *_: (_ for _ in ()).throw(OSError("No space left on device")))
    with pytest.raises(OSError, match="No space left"):
        archive.pack(dataclasses.replace(run), 3, packed)
    assert packed.read_bytes() == before and not list(packed.parent.glob(".*.partial"))

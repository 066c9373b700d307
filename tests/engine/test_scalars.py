import pytest
import tensorflow as tf

from tests import faults
from youtube8m_distill.engine.scalars import ScalarWriter


def read(folder):
    """(tag, step, value) of every point in a folder's event files."""
    return [
        (value.tag, event.step, float(tf.make_ndarray(value.tensor)))
        for path in sorted(folder.glob("*tfevents*"))
        for event in tf.compat.v1.train.summary_iterator(str(path))
        for value in event.summary.value
    ]


def test_scalars_are_in_the_file_after_a_flush(tmp_path):
    writer = ScalarWriter(tmp_path / "new" / "teacher")
    writer.write("loss/loss", 0.5, 3)
    writer.flush()
    assert read(tmp_path / "new" / "teacher") == [("loss/loss", 3, 0.5)]
    writer.close()


@pytest.fixture
def disk(tmp_path):
    disk = faults.Disk(tmp_path / "disk")
    yield disk
    disk.close()


def test_a_full_disk_raises_an_error_that_names_the_folder(disk):
    writer = ScalarWriter(disk.folder / "teacher")
    with disk.full(), pytest.raises(OSError, match=rf"^{disk.folder}/teacher cannot be written: No space left on device"):
        for step in range(5000):
            writer.write("loss/a_rather_long_name_of_a_loss", 0.5, step)
            writer.flush()


def test_a_read_only_folder_raises_an_error_that_names_it(disk):
    with disk.read_only(), pytest.raises(OSError, match=f"^{disk.folder}/teacher cannot be written: Read-only file system"):
        ScalarWriter(disk.folder / "teacher")

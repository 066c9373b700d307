import pytest

from youtube8m_distill.engine.history import History, read_rows
from youtube8m_distill.engine.progress import Progress


def end_epochs(folder, progress, epochs):
    """A process that resumes at `progress` and finishes these epochs of 10 steps each."""
    history = History(folder, progress)
    for epoch in epochs:
        progress.step, progress.epoch = 10 * epoch, epoch
        history.on_epoch_end(
            epoch,
            {
                "loss": 3.0,
                "teacher/validation_gap_at_20": epoch / 3,
                "teacher/gap_at_20": 0.9,
                "student/validation_gap_at_20": epoch / 7,
                "student/validation_loss": 8.0 - epoch,
            },
        )


def test_the_history_has_a_row_per_epoch_and_network(tmp_path):
    end_epochs(tmp_path, Progress(), [1, 2])
    assert read_rows(tmp_path) == [
        row
        for epoch in (1, 2)
        for row in (
            {"epoch": epoch, "role": "teacher", "step": 10 * epoch, "gap_at_20": epoch / 3},
            {"epoch": epoch, "role": "student", "step": 10 * epoch, "gap_at_20": epoch / 7, "loss": 8.0 - epoch},
        )
    ]


@pytest.mark.parametrize("killed_after", [1, 2, 3])
def test_the_history_of_a_resumed_run_equals_that_of_an_uninterrupted_one(tmp_path, killed_after):
    """The last checkpoint is of epoch 1; what was written after it is written again."""
    for name in ("straight", "killed"):
        (tmp_path / name).mkdir()
    end_epochs(tmp_path / "straight", Progress(), [1, 2, 3])
    end_epochs(tmp_path / "killed", Progress(), range(1, killed_after + 1))
    end_epochs(tmp_path / "killed", Progress(step=10, epoch=1), [])
    assert [row["epoch"] for row in read_rows(tmp_path / "killed")] == [1, 1]
    end_epochs(tmp_path / "killed", Progress(step=10, epoch=1), [2, 3])
    straight, killed = ((tmp_path / name / "history.csv").read_bytes() for name in ("straight", "killed"))
    assert straight == killed


def test_a_history_is_not_written_into_a_folder_that_another_process_holds(tmp_path):
    def check():
        raise OSError("not ours")

    with pytest.raises(OSError, match="not ours"):
        History(tmp_path, Progress(), check).on_epoch_end(1, {"teacher/validation_gap_at_20": 0.5})
    assert list(tmp_path.iterdir()) == []


def test_without_validation_there_is_no_history(tmp_path):
    History(tmp_path, Progress()).on_epoch_end(1, {"loss": 3.0, "teacher/gap_at_20": 0.9})
    assert list(tmp_path.iterdir()) == [] and read_rows(tmp_path) == []


@pytest.mark.parametrize(
    "content", ["a,b\n1,2\n", "epoch,role,step\nx,teacher,1\n", "epoch,role,step,loss\n1,teacher,1,x\n"]
)
def test_a_damaged_history_is_named(tmp_path, content):
    (tmp_path / "history.csv").write_text(content)
    with pytest.raises(ValueError, match=f"^{tmp_path}/history.csv cannot be read"):
        History(tmp_path, Progress())

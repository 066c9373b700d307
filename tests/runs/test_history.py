from tests import commands, networks
from youtube8m_distill import runs
from youtube8m_distill.engine.scalars import ScalarWriter


def test_the_points_by_epoch_come_back_in_order(tmp_path):
    run = commands.save_run(tmp_path / "run", networks.frame_level())
    for epochs in [(2, 1), (3,)]:  # a run that was stopped has written several files
        writer = ScalarWriter(run.folder / "tensorboard" / "teacher")
        for epoch in epochs:
            writer.write("epoch/gap_at_20", epoch / 4, epoch)
            writer.write("epoch/loss", 8.0 - epoch, epoch)
            writer.write("loss/loss", 100.0, 10 * epoch)
        writer.close()
    assert runs.read_history(run) == {
        "teacher": [{"epoch": epoch, "gap_at_20": epoch / 4, "loss": 8.0 - epoch} for epoch in (1, 2, 3)]
    }


def test_a_run_without_points_has_no_epochs(tmp_path):
    assert runs.read_history(commands.save_run(tmp_path / "run", networks.frame_level())) == {"teacher": []}

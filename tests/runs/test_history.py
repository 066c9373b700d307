from tests import commands, networks
from youtube8m_distill import runs


def test_the_history_is_read_by_network_and_epoch(tmp_path):
    run = commands.save_run(tmp_path / "run", networks.frame_level())
    (run.folder / "history.csv").write_text("epoch,role,step,gap_at_20,loss\n1,teacher,10,0.25,7.5\n2,teacher,20,0.5,6.25\n")
    assert runs.read_history(run) == {
        "teacher": [{"epoch": 1, "gap_at_20": 0.25, "loss": 7.5}, {"epoch": 2, "gap_at_20": 0.5, "loss": 6.25}]
    }


def test_a_run_without_a_history_has_no_epochs(tmp_path):
    assert runs.read_history(commands.save_run(tmp_path / "run", networks.frame_level())) == {"teacher": []}

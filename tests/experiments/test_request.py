import pytest

from youtube8m_distill.experiments.cells import HRNN, NETVLAD
from youtube8m_distill.experiments.grid import Grid
from youtube8m_distill.experiments.request import add_request, read_request


def test_what_commands_ask_for_adds_up(tmp_path):
    first = Grid((HRNN,), ("skyline", "uniform"), (6, 30), seeds=1, other_seeds=2)
    assert add_request(tmp_path, ["table3"], first) == (["table3"], first)
    second = Grid((NETVLAD,), ("uniform", "last"), (10,), seeds=3, other_seeds=1)
    both = (["table1", "table3"], Grid((HRNN, NETVLAD), ("skyline", "uniform", "last"), (6, 10, 30), 3, 2))
    assert add_request(tmp_path, ["table1"], second) == both
    assert read_request(tmp_path) == both


def test_a_folder_that_no_command_has_trained_in_is_said_so(tmp_path):
    with pytest.raises(FileNotFoundError, match="output_dir=.* holds no experiment"):
        read_request(tmp_path)

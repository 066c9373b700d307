import pytest

from reproduce.cells import ALL_LOSSES, HRNN, NETVLAD, SKYLINE, Cell
from reproduce.grid import Grid
from reproduce.recipes import table1

PLAN = [
    Cell(HRNN, SKYLINE),
    Cell(HRNN, "uniform", 6),
    Cell(HRNN, "last", 10),
    Cell(HRNN, "serial", 10, ALL_LOSSES),
    Cell(NETVLAD, SKYLINE),
]


def test_without_cuts_table_1_has_the_papers_cells():
    assert len(Grid().cells(table1.plan(Grid()))) == 1 + 5 * (6 + 3 + 5)


def test_seeds_are_of_the_three_that_are_compared_and_other_seeds_of_the_rest():
    cells = Grid(seeds=3, other_seeds=2).cells(
        [
            *PLAN,
            Cell(HRNN, "serial", 10, ALL_LOSSES, match_intermediate=True),
            Cell(HRNN, "serial", 10, ("rep",)),
            Cell(HRNN, "uniform", 6, train_fraction=0.5),
        ]
    )
    counts = {}
    for cell in cells:
        counts[cell.with_seed(0)] = counts.get(cell.with_seed(0), 0) + 1
    assert list(counts.values()) == [3, 3, 2, 3, 2, 2, 2, 2]


@pytest.mark.parametrize(
    "cuts, left",
    [
        ({"families": (NETVLAD,)}, PLAN[4:]),
        ({"ks": (6,)}, [PLAN[0], PLAN[1], PLAN[4]]),
        ({"methods": ("last",)}, [PLAN[2]]),
        ({"methods": ("serial",)}, [PLAN[0], PLAN[3]]),
    ],
    ids=["families", "ks", "methods", "a student brings its teacher"],
)
def test_cuts(cuts, left):
    assert list(Grid(**cuts).cells(PLAN)) == left


@pytest.mark.parametrize("ks, wanted, found", [((6, 10, 30), 30, 30), ((6, 10), 30, 10), ((6, 10, 20), 15, 10)])
def test_where_the_paper_has_one_k_the_nearest_is_taken(ks, wanted, found):
    assert Grid(ks=ks).k_of(wanted) == found


@pytest.mark.parametrize(
    "options, words",
    [
        ({"ks": (10, 6)}, "ks=10,6: give whole numbers of 1 to 300, rising"),
        ({"ks": ()}, "ks=: give"),
        ({"ks": (0, 6)}, "ks=0,6"),
        ({"families": ("DbofModel",)}, "families='DbofModel' is unknown; choose"),
        ({"methods": ()}, "methods is empty"),
        ({"seeds": 0}, "seeds=0"),
    ],
)
def test_what_is_no_grid_is_refused(options, words):
    with pytest.raises(ValueError, match=words):
        Grid(**options)

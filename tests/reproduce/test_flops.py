"""The formula gives the papers' cost figures, and the parts of networks agree with counts by hand."""

import decimal

import pytest

from reproduce import flops, published
from tests import networks
from youtube8m_distill import config
from youtube8m_distill.families import build


def slow_papers_cost(num_frames, num_classes):
    """The same count, operation by operation: layers, gates, and cells of each frame, then the classifier's products."""
    cells = 1024
    element_by_element = ["add a bias"] * 4 + ["forget gate's bias"] + ["sigmoid"] * 3 + ["tanh of the candidate"]
    element_by_element += ["forget * carry", "input * candidate", "their sum", "tanh of the carry", "output * tanh"]
    total = 0
    for _ in range(num_frames):
        for _layer in ("first", "second"):
            for _gate in ("input", "candidate", "forget", "output"):
                total += sum(numbers_read * cells for numbers_read in (cells, cells))  # input and state
            total += len(element_by_element) * cells
    return total + sum(4 * cells for _ in range(num_classes))


def printed(multiply_adds):
    """In 1e9, rounded to the three decimals of the papers."""
    return decimal.Decimal(multiply_adds).scaleb(-9).quantize(decimal.Decimal("0.001"), decimal.ROUND_HALF_UP)


def test_the_cost_of_a_frame_is_the_sum_of_its_operations():
    assert flops.papers_multiply_adds(1) == slow_papers_cost(1, 0) == 16_805_888


@pytest.mark.parametrize("row", flops.PUBLISHED_COST, ids=lambda row: f"{row.source} {row.label}")
def test_the_formula_gives_each_figure_of_the_papers(row):
    cost = flops.papers_multiply_adds(row.num_frames, row.num_classes)
    assert cost == slow_papers_cost(row.num_frames, row.num_classes)
    assert printed(cost) == decimal.Decimal(str(row.giga)).quantize(decimal.Decimal("0.001"))


@pytest.mark.parametrize("row", flops.PUBLISHED_COST, ids=lambda row: f"{row.source} {row.label}")
def test_no_other_number_of_frames_gives_the_figure(row):
    for num_frames in set(range(1, 301)) - {row.num_frames}:
        assert float(printed(flops.papers_multiply_adds(num_frames, row.num_classes))) != row.giga


def test_all_figures_of_the_papers_are_listed():
    # Teacher-student network 2018, Table 4; CVPR 2019, Table 3.
    figures = {
        source: [row.giga for row in flops.PUBLISHED_COST if row.source == source]
        for source in (flops.EARLIER_PAPER, flops.CVPR)
    }
    assert figures == {flops.EARLIER_PAPER: [5.042, 0.504, 0.252, 0.151], flops.CVPR: [5.058, 0.520, 0.268, 0.167]}
    assert [row.label for row in flops.PUBLISHED_COST] == 2 * ["Teacher-Skyline", "k=30", "k=20", "k=10"]


def test_the_listed_figures_equal_those_in_published():
    cost = {row.label: {} for row in flops.PUBLISHED_COST}
    for row in flops.PUBLISHED_COST:
        cost[row.label][row.source] = row.giga
    assert list(cost.values()) == [
        {flops.EARLIER_PAPER: row.earlier_giga, flops.CVPR: row.giga} for row in map(published.table3, (None, 30, 20, 10))
    ]


@pytest.mark.parametrize("num_frames, giga", [(300, "1.337"), (30, "0.134")])
def test_the_formula_of_nextvlad_gives_the_papers_figures(num_frames, giga):
    # CVPR 2019, Table 6. Layer by layer: expansion, assignment to the clusters of each group, weighted sums.
    frame = sum(1024 for _ in range(2 * 1024)) + sum(2048 for _ in range(8 * 128)) + sum(2048 // 8 for _ in range(8 * 128))
    assert flops.papers_nextvlad_multiply_adds(num_frames) == num_frames * frame
    assert printed(num_frames * frame) == decimal.Decimal(giga)
    assert float(giga) in published.TABLE6_GIGA.values()


def test_the_parts_of_hrnn_agree_with_a_count_by_hand():
    # 7 frames of 9 numbers, 4 cells, so states of 16 numbers, in blocks of 3; 2 experts and 3 gates for 5 classes.
    lower, upper = (9 + 4) * 16 + (4 + 4) * 16, (16 + 4) * 16 + (4 + 4) * 16
    assert flops.parts(networks.frame_level()) == (
        ("lower LSTM", 7 * lower, lower + 2 * 16),
        ("upper LSTM", 3 * upper, upper + 2 * 16),
        ("classifier", 16 * 5 * (2 + 3), 16 * 5 * (2 + 3) + 2 * 5),
    )  # biases of the experts only


@pytest.mark.parametrize(
    "network",
    [networks.every_network()[name] for name in networks.every_network() if not networks.every_network()[name].is_mixture],
    ids=lambda network: f"{network.model}-{network.classifier}",
)
def test_the_parts_add_up_to_the_network(network):
    found, model = flops.parts(network), build.build_model(network)
    assert sum(part.multiply_adds for part in found) == model.multiply_adds(network.max_frames)
    eigenvalues = sum(weight.shape[0] for weight in model.preprocessing.weights)
    assert sum(part.parameters for part in found) + eigenvalues == build.count_weights(network)
    assert found[-1].name == "classifier" and found[-1].multiply_adds == model.classifier.multiply_adds()


def test_other_families_have_one_encoder_part():
    assert [part.name for part in flops.parts(networks.frame_level("NetVLADModelLF"))] == ["encoder", "classifier"]


@pytest.fixture(scope="module")
def small():
    return networks.frame_level().replace(view=config.FrameView())


def test_each_row_of_the_table_has_the_cost_of_its_frames(small):
    table = flops.cost_table(small)
    assert [row.labels for row in table.rows] == [("300",), ("30",), ("20",), ("15",), ("10",), ("9",), ("6",)]
    assert [column for _, column in table.columns][2:] == ["lower LSTM", "upper LSTM", "classifier", "all"]
    for row, num_frames in zip(table.rows, flops.FRAME_COUNTS):
        assert row.values[0].mean == flops.papers_multiply_adds(num_frames) / 1e9
        assert row.values[1].mean == flops.papers_multiply_adds(num_frames, 3862) / 1e9
        assert row.values[-1].mean == pytest.approx(sum(value.mean for value in row.values[2:-1]))


@pytest.mark.parametrize("num_frames, blocks", [(300, 15), (30, 6), (20, 4), (15, 3), (10, 2), (6, 2)])
def test_each_row_has_the_papers_blocks(small, num_frames, blocks):
    # Blocks of 20 frames for the teacher, of 5 where they divide k, otherwise of 3 (section 5.2); 448 per block, as above.
    (row,) = flops.cost_table(small, (num_frames,)).rows
    assert row.values[3].mean * 1e9 == pytest.approx(448 * blocks)


def test_the_papers_figures_are_shown_only_at_the_frames_that_give_them(small):
    rows = {row.labels[0]: [value.paper for value in row.values] for row in flops.cost_table(small).rows}
    assert rows["300"][:2] == [5.042, 5.058] and rows["15"][:2] == [0.252, 0.268]
    assert rows["20"][:2] == rows["10"][:2] == rows["6"][:2] == [None, None]
    assert all(paper is None for papers in rows.values() for paper in papers[2:])


@pytest.mark.slow
def test_the_published_network_costs_5_71_and_0_77_giga():
    table = flops.cost_table(config.network_config(), (300, 30))
    assert [f"{row.values[-1].mean:.2f}" for row in table.rows] == ["5.71", "0.77"]
    assert "125,779,500 in total" in table.note

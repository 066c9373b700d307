"""The report loads nothing, shows everything, escapes every text, and sorts in a real browser."""

import dataclasses
import html
import html.parser
import json
import re
import shutil
import subprocess
import types

import matplotlib.figure
import pytest

from reproduce import report
from reproduce.figures import Figure
from reproduce.results import Results
from reproduce.tables import Row, Table, Value
from reproduce.trials import ALL_LOSSES, HRNN, NEXTVLAD, SKYLINE, Trial
from tests.reproduce.made_up import made_up_result

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
ABOUT = {
    "title": "A title",
    "data": "Synthetic, not YouTube-8M.",
    "machine": "2 cores",
    "versions": "keras 3.15.0",
    "commands": ["python -m reproduce all"],
    "grids": {"table1": {"ks": [6, 10], "seeds": 1}},
    "not_shown": {},
    "unfinished": [],
}
TRIALS = (
    Trial(HRNN, SKYLINE),
    Trial(HRNN, "uniform", 10),
    Trial(HRNN, "uniform", 6),
    Trial(NEXTVLAD, "uniform", 6),
    Trial(HRNN, "parallel", 6, ALL_LOSSES),
    Trial(HRNN, "serial", 6, ("rep",), seed=1),
)
# As text, 10.0 would sort before 9.0. Middle-k has only the paper's number.
TABLE = Table(
    "table1",
    "Numbers",
    ("Training", "Loss"),
    (("k=6", "GAP"), ("k=6", "mAP"), ("", "said")),
    (
        Row(("Skyline", ""), (Value(0.9, None, 1), None, "a")),
        Row(("Random-k", ""), (Value(9.0, 0.004, 3, 0.759), None, "b"), "Baseline methods"),
        Row(("Uniform-k", ""), (Value(10.0, None, 1, 0.8), None, "c"), "Baseline methods"),
        Row(("Middle-k", ""), (Value(None, None, 0, 0.7), None, None), "Baseline methods"),
        Row(("First-k", ""), (Value(0.8, None, 1), None, "d"), "Baseline methods"),
        Row(("Serial", "L_rep"), (Value(0.7, None, 1), Value(0.1, None, 1), "e"), "Teacher-student methods"),
        Row(("Parallel", "L_rep"), (Value(0.75, None, 1), None, "e"), "Teacher-student methods"),
    ),
    "A note.",
)


def recipe(title="Table 1", question="Which frames?", expected="Even ones."):
    return types.SimpleNamespace(TITLE=title, QUESTION=question, EXPECTED=expected)


def figure(name="figure2", label="epoch", alt="A rising curve."):
    drawn = matplotlib.figure.Figure(figsize=(3, 2))
    drawn.subplots().set_xlabel(label)
    return Figure(name, "Courses", "How it rose.", alt, drawn)


def results():
    return Results(map(made_up_result, TRIALS))


def written(folder, sections=(), findings=None, found=None, **about):
    """The text of a report."""
    path = folder / "report.html"
    report.write_report(path, list(sections), findings, found or Results(), {**ABOUT, **about})
    return path.read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    """A report with a table, two figures, an empty section, findings and runs."""
    findings = [
        Table("findings", "Which hold", ("finding",), (("verdict", "GAP"),), (Row(("Even is best.",), ("holds",)),)),
        Table("comparisons", "All", ("comparison",), (("", "verdict"),), (Row(("k=6",), ("contradicted",)),)),
    ]
    sections = [
        ("table1", recipe(), [TABLE]),
        ("figure2", recipe("Figure 2"), [figure(), figure("figure2b")]),
        ("cost", recipe("Cost"), []),
    ]
    return written(tmp_path_factory.mktemp("report"), sections, findings, results(), unfinished=["one-more-trial"])


class Elements(html.parser.HTMLParser):
    """All start tags of a page, as (tag, dict of attributes). Asserts that they are closed in order."""

    VOID = ("meta", "img", "br", "link")

    def __init__(self, text):
        super().__init__()
        self.found, self._open = [], []
        self.feed(text)
        assert not self._open

    def handle_starttag(self, tag, attributes):
        self.found.append((tag, dict(attributes)))
        if tag not in self.VOID:
            self._open.append(tag)

    def handle_endtag(self, tag):
        assert self._open.pop() == tag, self.getpos()

    def of(self, *tags):
        return [attributes for tag, attributes in self.found if tag in tags]


def test_every_tag_is_closed_and_ids_are_unique(page):
    assert page.startswith("<!DOCTYPE html>")
    ids = [attributes["id"] for _, attributes in Elements(page).found if "id" in attributes]
    assert len(ids) == len(set(ids))


def test_the_page_loads_nothing(page):
    elements = Elements(page)
    for _, attributes in elements.found:
        for name in ("src", "href", "srcset", "data", "action", "poster"):
            assert attributes.get(name, "#").startswith(("#", "data:image/svg+xml;base64,"))
    assert not elements.of("link", "iframe", "object", "base")
    assert not re.search(r"@import|url\(|//\w", page)
    (policy,) = [meta["content"] for meta in elements.of("meta") if meta.get("http-equiv") == "Content-Security-Policy"]
    assert policy.startswith("default-src 'none'; img-src data:;")


def test_all_links_have_a_target(page):
    elements = Elements(page)
    ids = {attributes.get("id") for _, attributes in elements.found}
    links = [link["href"] for link in elements.of("a")]
    assert links == ["#findings", "#table1", "#figure2", "#cost", "#runs", "#commands"]
    assert {link[1:] for link in links} <= ids


def test_the_data_are_described_at_the_top_and_below_every_table_and_figure(page):
    assert f'<p class="on-data"><b>Data:</b> {ABOUT["data"]}</p>' in page
    assert page.count(f"Data: {ABOUT['data']}") == 5  # two tables of findings, a table, two figures


def test_data_without_a_description_are_not_taken_for_youtube_8m(tmp_path):
    assert "Do not assume that any number here was measured on YouTube-8M" in written(tmp_path, data="")


def test_every_run_is_listed_with_its_command_configuration_and_scores(page):
    for result in results():
        start = page.index(f'<details class="run" id="run-{result.trial.name}">')
        shown = page[start : page.index("</details>\n</details>", start)]
        assert f"<pre><code>{result.command}</code></pre>" in shown
        assert f"{result.score():.4f}" in shown and f"{result.score('multiply_adds'):,}" in shown
        assert '"seconds": 12.5' in shown and '"mode": "teacher"' in shown
        assert all(f"<th>{role}</th>" in shown for role in result.networks)
    assert "<li><code>one-more-trial</code></li>" in page


def test_runs_are_in_the_order_of_the_papers_tables(page):
    assert re.findall('id="run-([^"]+)"', page) == [
        f"{HRNN}-skyline-seed0",
        f"{HRNN}-uniform-k6-seed0",
        f"{HRNN}-uniform-k10-seed0",
        f"{HRNN}-parallel-k6-rep+pred+ce-seed0",
        f"{HRNN}-serial-k6-rep-seed1",
        f"{NEXTVLAD}-uniform-k6-seed0",
    ]


def test_a_section_without_outputs_shows_not_run_yet(page):
    section = page[page.index('<h2 id="cost">') :].partition("</section>")[0]
    assert "Not run yet." in section and "Which frames?" in section
    assert page.count("Not run yet.") == 1


def test_an_experiment_without_results_has_a_page(tmp_path):
    page = written(tmp_path, [("table1", recipe(), [])])
    assert page.count("Not run yet.") == 2 and "0 finished" in page and 'href="#findings"' not in page


def test_numbers_are_shown_with_deviation_and_the_papers_number(page):
    paper = '<small><span class="hidden">paper: </span>'
    assert f'<span class="ours" title="3 seeds">9.000</span> <small>± 0.004</small> {paper}(0.759)</small></td>' in page
    assert f'<span class="ours">–</span> {paper}(0.700)</small></td>' in page
    assert re.search('class="[^"]* text good" >holds</td>', page)
    assert re.search('class="[^"]* text bad" >contradicted</td>', page)


def test_a_group_of_columns_has_one_title(page):
    table = page[page.index('id="T_table1"') :].partition("</thead>")[0]
    assert re.findall('colspan="([0-9])">([^<]*)<', table) == [("2", ""), ("2", "k=6")]


def test_a_title_is_not_repeated_below_its_heading(page):
    assert "<caption>Numbers</caption>" in page and "<caption>Which hold</caption>" not in page


HOSTILE = "<script>alert('1')</script>\"&'"


def test_every_text_is_escaped(tmp_path):
    result = made_up_result(TRIALS[0])
    result = dataclasses.replace(result, command=HOSTILE, config={HOSTILE: HOSTILE}, about={HOSTILE: {HOSTILE: [HOSTILE]}})
    row = Row((HOSTILE,), (HOSTILE,), HOSTILE)
    table = Table("classes", HOSTILE, (HOSTILE,), ((HOSTILE, HOSTILE),), (row,), HOSTILE)
    picture = Figure("figure3", HOSTILE, HOSTILE, HOSTILE, figure(label=HOSTILE).figure)
    about = {
        "title": HOSTILE,
        "data": HOSTILE,
        "machine": HOSTILE,
        "versions": HOSTILE,
        "commands": [HOSTILE],
        "grids": {HOSTILE: {HOSTILE: [HOSTILE]}},
        "not_shown": {HOSTILE: HOSTILE},
        "unfinished": [HOSTILE],
    }
    sections = [("classes", recipe(HOSTILE, HOSTILE, HOSTILE), [table, picture])]
    page = written(tmp_path, sections, [table, dataclasses.replace(table, name="comparisons")], Results([result]), **about)
    elements = Elements(page)
    assert len(elements.of("script")) == 1 and "<script>alert" not in page
    assert [image["alt"] for image in elements.of("img")] == [HOSTILE]


def in_chromium(path):
    """The page's HTML after its script has run."""
    command = [
        CHROMIUM,
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        f"--user-data-dir={path.parent / 'profile'}",
        "--virtual-time-budget=2000",
        "--dump-dom",
        path.as_uri(),
    ]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=True).stdout


def first_column(page):
    """The first column of Table 1, including the titles of its sections."""
    table = page[page.index('id="T_table1"') :].partition("</table>")[0]
    return re.findall(r"<tr[^>]*>\s*<td [^>]*>([^<]*)", table.partition("</thead>")[2])


SECTION, STUDENTS = "Baseline methods", "Teacher-student methods"
BY_GAP, BY_GAP_RISING = ["Uniform-k", "Random-k", "First-k", "Middle-k"], ["First-k", "Random-k", "Uniform-k", "Middle-k"]
# Titles that are clicked in turn, the resulting order of each section, and the direction.
SORTED = (
    ([2], BY_GAP, ["Parallel", "Serial"], "descending"),
    ([2, 2], BY_GAP_RISING, ["Serial", "Parallel"], "ascending"),
    ([2, 2, 2], BY_GAP, ["Parallel", "Serial"], "descending"),
    ([3], ["Random-k", "Uniform-k", "Middle-k", "First-k"], ["Serial", "Parallel"], "descending"),  # mostly unknown
    ([0], ["First-k", "Middle-k", "Random-k", "Uniform-k"], ["Parallel", "Serial"], "ascending"),
    ([2, 4], ["Random-k", "Uniform-k", "First-k", "Middle-k"], ["Serial", "Parallel"], "ascending"),
)


@pytest.mark.skipif(CHROMIUM is None, reason="There is no chromium.")
def test_column_titles_sort_each_section_of_a_table(tmp_path, page):
    clicks = [columns for columns, *_ in SORTED]
    # One start of the browser for all cases; the page becomes the text of their results.
    harness = f"""<script>
      const kept = [];
      const original = document.getElementById("T_table1");
      const heads = [...original.tHead.rows].at(-1).cells;
      const start = [...original.tBodies[0].rows];
      for (const columns of {clicks}) {{
        original.tBodies[0].append(...start);
        for (const head of heads) head.ariaSort = "none";
        for (const column of columns) heads[column].querySelector("button").click();
        kept.push(original.outerHTML);
      }}
      document.body.innerHTML = '<div id="kept"></div>';
      document.body.firstChild.textContent = JSON.stringify(kept);
    </script></body>"""
    path = tmp_path / "harness.html"
    path.write_text(page.replace("</body>", harness), encoding="utf-8")
    (text,) = re.findall('<div id="kept">(.*?)</div>', in_chromium(path), re.DOTALL)
    tables = json.loads(html.unescape(text))
    for table, (columns, baselines, students, direction) in zip(tables, SORTED, strict=True):
        assert first_column(table) == ["Skyline", SECTION, *baselines, STUDENTS, *students]
        directions = re.findall(r'<th [^>]*aria-sort="(\w+)"', table)
        assert directions == [direction if number == columns[-1] else "none" for number in range(5)]


@pytest.mark.skipif(CHROMIUM is None, reason="There is no chromium.")
@pytest.mark.slow  # starts a browser
def test_a_wide_table_scrolls_and_the_page_does_not(tmp_path):
    columns = tuple((f"k={k}", "GAP") for k in range(30))
    wide = Table("wide", "Wide", ("Training",), columns, (Row(("Uniform-k",), (Value(0.5, 0.1, 3, 0.6),) * 30, "Part"),))
    page = written(tmp_path, [("table1", recipe(), [wide, figure()])], None, results())
    widths = (390, 1280)  # of frames; a window cannot be as narrow as a phone
    frames = "".join(f'<iframe width="{width}" srcdoc="{html.escape(page)}"></iframe>' for width in widths)
    path = tmp_path / "harness.html"
    path.write_text(
        f"""<!DOCTYPE html><title></title>{frames}<script>
      window.onload = () => {{
        document.title = [...document.querySelectorAll("iframe")].map(frame => {{
          const page = frame.contentDocument;
          for (const details of page.querySelectorAll("details")) details.open = true;
          return page.documentElement.scrollWidth;
        }}).join(" ");
      }};
    </script>""",
        encoding="utf-8",
    )
    (title,) = re.findall("<title>(.+?)</title>", in_chromium(path).partition("<iframe")[0])
    for scroll_width, width in zip(map(int, title.split()), widths, strict=True):
        assert 0 < scroll_width <= width


def test_column_titles_are_not_buttons_without_a_script(page):
    assert "<button" not in page.partition("<script>")[0] and 'id="sorting" hidden' in page

"""Who may import whom: data, models and metrics never meet, and nothing knows the command line."""

import ast
import pathlib
import subprocess
import sys

import pytest

PACKAGE = "youtube8m_distill"
ROOT = pathlib.Path(__file__).parent.parent / PACKAGE

SHARED = {"schema", "config", "checks", "files", "display"}
ROOMS = {
    "__init__": set(),
    "schema": set(),
    "checks": set(),
    "files": set(),
    "display": set(),
    "config": {"schema", "checks"},
    "data": SHARED,
    "models": SHARED,
    "metrics": SHARED,
    "training": SHARED | {"metrics"},
    "distillation": SHARED | {"training", "models"},
    "export": SHARED,
    "runs": SHARED | {"data", "models", "metrics", "training", "distillation", "export"},
    "experiments": SHARED | {"runs", "metrics", "models"},
}
ROOMS["cli"] = set(ROOMS) - {"__init__"}
WITHOUT_TENSORFLOW = ("schema", "config", "checks", "files", "display", "models", "metrics")

FILES = sorted(ROOT.rglob("*.py"))


def name_of(path):
    return str(path.relative_to(ROOT))


def room_of(path):
    """data/parsing.py -> data; config.py -> config. A room's own command is a door to the command line."""
    return "cli" if path.name == "__main__.py" else path.relative_to(ROOT).parts[0].removesuffix(".py")


def imports(source):
    """Every module that is imported anywhere in the text, and the names taken from it: `a.b.c` each."""
    found = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        if isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are written out in full"
            found.update(f"{node.module}.{alias.name}" for alias in node.names)
    return found


def rooms_in(modules):
    """The rooms of ours among imported modules; "" for the package itself."""
    parts = [f"{module}..".split(".") for module in modules]
    return {part[1] for part in parts if part[0] == PACKAGE}


def test_imports_of_every_form_are_seen():
    source = (f"import numpy, {PACKAGE}.data\nfrom {PACKAGE} import schema, cli as x\n"
              f"def f():\n  from {PACKAGE}.models.moe import A\n  import tensorflow.io as io\nimport {PACKAGE}")
    assert rooms_in(imports(source)) == {"data", "schema", "cli", "models", ""}
    assert "tensorflow.io" in imports(source)


@pytest.mark.parametrize("path", FILES, ids=name_of)
def test_a_file_imports_only_what_its_room_may(path):
    room = room_of(path)
    assert room in ROOMS, f"{room} is a new room: give it a line in this table"
    beyond = rooms_in(imports(path.read_text(encoding="utf-8"))) - ROOMS[room] - {room}
    assert not beyond, f"{name_of(path)} imports {', '.join(sorted(beyond))}"


@pytest.mark.parametrize("path", [path for path in FILES if room_of(path) in WITHOUT_TENSORFLOW], ids=name_of)
def test_networks_and_metrics_do_not_know_tensorflow(path):
    assert not [module for module in imports(path.read_text(encoding="utf-8")) if module.split(".")[0] == "tensorflow"]


def test_the_table_has_no_circle():
    def reaches(room, seen):
        assert room not in seen, f"{' -> '.join([*seen, room])}"
        for other in ROOMS[room]:
            reaches(other, [*seen, room])
    for room in ROOMS:
        reaches(room, [])


def test_facts_and_settings_are_read_without_loading_keras():
    modules = ", ".join(f"{PACKAGE}.{name}" for name in sorted(SHARED))
    code = f"import sys, {modules}; print(sorted({{'keras', 'tensorflow'}} & set(sys.modules)))"
    ran = subprocess.run([sys.executable, "-c", code], cwd=ROOT.parent, capture_output=True, text=True, check=True)
    assert ran.stdout.strip() == "[]"

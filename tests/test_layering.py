"""Imports go one way, from schema up to the command line; data, metrics and export never import models."""

import ast
import pathlib
import subprocess
import sys

import pytest

PACKAGE = "youtube8m_distill"
ROOT = pathlib.Path(__file__).parent.parent / PACKAGE

GROUND = {"schema", "errors", "settings", "files", "manifest", "display"}
FAMILY_SETTINGS = "family settings"  # families/*/settings.py, which configurations import
SHARED = GROUND | {"config"}
ROOMS = {
    "__init__": set(),
    "schema": set(),
    "errors": set(),
    "settings": {"errors"},
    "compat": set(),
    "files": {"errors"},
    "manifest": {"errors", "files"},
    "display": set(),
    FAMILY_SETTINGS: {"schema", "errors", "settings"},
    "config": {"schema", "errors", "settings", FAMILY_SETTINGS},
    "data": SHARED,
    "metrics": SHARED,
    "export": SHARED,
    "features": SHARED | {"data"},
    "layers": GROUND,
    "families": SHARED | {"layers", FAMILY_SETTINGS},
    "schemes": SHARED | {"compat", "metrics", "layers", "families"},
    "engine": SHARED | {"compat", "metrics", "schemes"},
    "runs": SHARED | {"data", "metrics", "export", "layers", "families", "schemes", "engine"},
}
ROOMS["cli"] = set(ROOMS) - {"__init__"}
ROOMS["__main__"] = {"cli"}
WITHOUT_TENSORFLOW = {
    "schema",
    "errors",
    "settings",
    "config",
    "files",
    "manifest",
    "display",
    "layers",
    FAMILY_SETTINGS,
    "families",
    "metrics",
}

FILES = sorted(ROOT.rglob("*.py"))


def name_of(path):
    return str(path.relative_to(ROOT))


def room_of(path):
    """data/pipeline.py -> data; files.py -> files; what families say of themselves -> family settings."""
    parts = path.relative_to(ROOT).parts
    if parts[0] == "families" and (parts[-1] in ("__init__.py", "settings.py") or parts[1] == "classifiers.py"):
        return FAMILY_SETTINGS
    return parts[0].removesuffix(".py")


def read(path):
    return path.read_text(encoding="utf-8")


def imports_at_load(path):
    """What importing a file imports: a family's settings import its encoder only where they build it."""
    tree = ast.parse(read(path))
    return {
        name for node in tree.body if isinstance(node, (ast.Import, ast.ImportFrom)) for name in imports(ast.unparse(node))
    }


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
    """The rooms of the package among imported modules; "" for the package itself."""
    found = set()
    for parts in ([*module.split("."), ""] for module in modules):
        if parts[0] == PACKAGE:
            is_settings = parts[1] == "families" and ("settings" in parts or "classifiers" in parts or parts[2].isupper())
            found.add(FAMILY_SETTINGS if is_settings else parts[1])
    return found


def test_imports_of_every_form_are_seen():
    source = (
        f"import numpy, {PACKAGE}.data\nfrom {PACKAGE} import schema, cli as x\n"
        f"def f():\n  from {PACKAGE}.layers.moe import A\n  import tensorflow.io as io\nimport {PACKAGE}"
    )
    assert rooms_in(imports(source)) == {"data", "schema", "cli", "layers", ""}
    assert "tensorflow.io" in imports(source)


@pytest.mark.parametrize("path", FILES, ids=name_of)
def test_a_file_imports_only_what_its_room_may(path):
    room = room_of(path)
    assert room in ROOMS, f"{room} is a new room: give it a line in this table"
    beyond = rooms_in(imports_at_load(path) if room == FAMILY_SETTINGS else imports(read(path))) - ROOMS[room] - {room}
    assert not beyond, f"{name_of(path)} imports {', '.join(sorted(beyond))}"


@pytest.mark.parametrize(
    "path",
    [path for path in FILES if room_of(path) in WITHOUT_TENSORFLOW and name_of(path) != "layers/replicas.py"],
    ids=name_of,
)
def test_networks_and_metrics_do_not_know_tensorflow(path):
    assert not [module for module in imports(read(path)) if module.split(".")[0] == "tensorflow"]


def test_the_table_has_no_circle():
    def reaches(room, seen):
        assert room not in seen, f"{' -> '.join([*seen, room])}"
        for other in ROOMS[room]:
            reaches(other, [*seen, room])

    for room in ROOMS:
        reaches(room, [])


def test_facts_and_settings_are_read_without_loading_keras():
    modules = ", ".join(f"{PACKAGE}.{name}" for name in sorted({*SHARED, "families"}))
    code = f"import sys, {modules}; print(sorted({{'keras', 'tensorflow'}} & set(sys.modules)))"
    ran = subprocess.run([sys.executable, "-c", code], cwd=ROOT.parent, capture_output=True, text=True, check=True)
    assert ran.stdout.strip() == "[]"


def test_nothing_in_the_package_imports_the_reproduction():
    for path in FILES:
        assert not [module for module in imports(read(path)) if module.split(".")[0] == "reproduce"], path

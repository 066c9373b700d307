"""The public names of the package, and the examples in docstrings."""

import ast
import doctest
import importlib
import inspect
import pathlib
import re
import subprocess
import sys

import pytest

import youtube8m_distill

PACKAGE = pathlib.Path(youtube8m_distill.__file__).parent
WITH_EXAMPLES = [
    ".".join(path.relative_to(PACKAGE.parent).with_suffix("").parts)
    for path in sorted(PACKAGE.rglob("*.py"))
    if ">>> " in path.read_text(encoding="utf-8")
]


@pytest.mark.parametrize("name", youtube8m_distill.__all__)
def test_public_names_exist_and_have_docstrings(name):
    assert getattr(youtube8m_distill, name).__doc__


def test_importing_the_package_loads_no_tensorflow():
    program = "import sys, youtube8m_distill; youtube8m_distill.FrameView(); print('tensorflow' in sys.modules)"
    assert subprocess.check_output([sys.executable, "-c", program], text=True).strip() == "False"


@pytest.mark.parametrize("module", WITH_EXAMPLES)
def test_examples_in_docstrings_print_what_they_say(module, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    names = {name: getattr(youtube8m_distill, name) for name in youtube8m_distill.__all__}
    found = doctest.testmod(importlib.import_module(module), extraglobs=names, optionflags=doctest.ELLIPSIS)
    assert found.attempted and not found.failed


def test_public_functions_have_type_annotations():
    stub = ast.parse((PACKAGE / "__init__.pyi").read_text(encoding="utf-8"))
    for line in (node for node in stub.body if isinstance(node, ast.ImportFrom)):
        path = PACKAGE / (line.module.replace(".", "/") + ".py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.FunctionDef) and node.name == line.names[0].name:
                arguments = [*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs]
                assert node.returns is not None, node.name
                assert all(argument.annotation is not None for argument in arguments), node.name


@pytest.mark.parametrize("name", youtube8m_distill.__all__)
def test_documented_parameters_exist(name):
    """Also those of public methods. The manual shows each parameter by itself, so entries name one each."""
    public = getattr(youtube8m_distill, name)
    functions = [public.__init__, *vars(public).values()] if inspect.isclass(public) else [public]
    for function in filter(inspect.isfunction, functions):
        is_constructor = function.__name__ == "__init__"
        section = re.search(r"Args:\n((?: +.*\n?)*)", inspect.getdoc(public if is_constructor else function) or "")
        documented = re.findall(r"^    (\S[^:]*):", section[1], re.MULTILINE) if section else []
        assert {name.lstrip("*") for name in documented} <= set(inspect.signature(function).parameters), function

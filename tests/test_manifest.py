import json

import pytest
from hypothesis import given, strategies

from youtube8m_distill.errors import SettingError
from youtube8m_distill.manifest import Manifest, differences

SETTINGS = {"format": 1, "seed": 3, "network": {"cells": 4, "sizes": [6, 3]}, "note": None}


def manifest(folder, settings=SETTINGS, **options):
    return Manifest(folder / "manifest.json", settings, flag="output_dir", what="a data set", **options)


def test_a_new_or_empty_folder_is_accepted(tmp_path):
    assert manifest(tmp_path / "new").check() is None
    (tmp_path / ".lock").touch()
    assert manifest(tmp_path).check() is None


def test_a_folder_resumes_under_equal_settings(tmp_path):
    manifest(tmp_path / "new").write()
    assert manifest(tmp_path / "new").check() == SETTINGS


def test_settings_may_be_one_section_of_the_file(tmp_path):
    manifest(tmp_path, section="settings").write(sources={"a": 1})
    assert json.loads((tmp_path / "manifest.json").read_text()) == {"settings": SETTINGS, "sources": {"a": 1}}
    assert manifest(tmp_path, section="settings").check()["sources"] == {"a": 1}


@pytest.mark.parametrize(
    "change, message",
    [
        ({"seed": 5}, r"seed \(3 there, 5 here\)\. Give the same settings to resume"),
        ({"network": {"cells": 4, "sizes": [6]}}, r"sizes \(6,3 there, 6 here\)"),
        ({"note": "x"}, r"note \(not set there, x here\)"),
        ({"new": True}, r"new \(not set there, true here\)"),
        ({"seed": 5, "format": 2}, r"format \(1 there, 2 here\); seed \(3 there, 5 here\)"),
    ],
)
def test_other_settings_are_refused_by_name(tmp_path, change, message):
    manifest(tmp_path).write()
    with pytest.raises(SettingError, match=f"output_dir={tmp_path}: holds a data set with other settings: .*{message}"):
        manifest(tmp_path, {**SETTINGS, **change}).check()


def test_settings_that_may_change_do_not_count(tmp_path):
    manifest(tmp_path).write()
    changed = {**SETTINGS, "seed": 5, "network": {"cells": 9, "sizes": [6, 3]}}
    manifest(tmp_path, changed, may_change=("seed", "network.cells")).check()


def test_a_folder_with_other_files_is_refused(tmp_path):
    (tmp_path / "holiday.jpg").touch()
    with pytest.raises(SettingError, match="is not empty and holds no manifest.json.*first entry: holiday.jpg"):
        manifest(tmp_path).check()


@pytest.mark.parametrize("text", ["", "[]", "{", '{"settings": 5}', "[" * 100_000])
def test_a_manifest_that_cannot_be_read_is_refused(tmp_path, text):
    (tmp_path / "manifest.json").write_text(text)
    with pytest.raises(SettingError, match="its manifest.json cannot be read"):
        manifest(tmp_path, section="settings").check()


values = strategies.recursive(
    strategies.none() | strategies.booleans() | strategies.integers() | strategies.text(max_size=5),
    lambda inner: strategies.dictionaries(strategies.sampled_from("abcd"), inner),
    max_leaves=9,
)


@given(strategies.dictionaries(strategies.sampled_from("abcd"), values))
def test_settings_never_differ_from_themselves(settings):
    assert differences(settings, json.loads(json.dumps(settings))) == []

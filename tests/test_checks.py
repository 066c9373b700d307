import dataclasses

import pytest

from youtube8m_distill import checks


@dataclasses.dataclass(frozen=True)
class Inner:
    """For a field that holds another dataclass."""

    size: int = 1


@dataclasses.dataclass(frozen=True)
class Settings:
    """One field of every kind."""

    whole: int = 1
    maybe: int | None = None
    number: float = 0.5
    switch: bool = True
    text: str = "a"
    names: tuple[str, ...] = ("a",)
    sizes: tuple[int, ...] = (1,)
    inner: Inner | None = None
    table: dict[str, Inner] = dataclasses.field(default_factory=dict)

    def __post_init__(self):
        checks.check_types(self)


@pytest.mark.parametrize(
    "name, value",
    [
        ("whole", -3),
        ("maybe", None),
        ("maybe", 2),
        ("number", 2),
        ("number", -1.5),
        ("switch", False),
        ("text", ""),
        ("names", ()),
        ("names", ("a", "b")),
        ("sizes", (3, 4)),
        ("inner", Inner()),
        ("table", {"a": Inner()}),
    ],
)
def test_what_the_annotation_says_passes(name, value):
    assert getattr(Settings(**{name: value}), name) == value


@pytest.mark.parametrize(
    "name, value, wanted",
    [
        ("whole", "6", "a whole number"),
        ("whole", 6.0, "a whole number"),
        ("whole", True, "a whole number"),
        ("whole", None, "a whole number"),
        ("maybe", "6", "a whole number or None"),
        ("maybe", False, "a whole number or None"),
        ("number", "0.5", "a finite number"),
        ("number", False, "a finite number"),
        ("number", None, "a finite number"),
        ("number", float("nan"), "a finite number"),
        ("number", -(10**400), "a finite number"),
        ("number", float("-inf"), "a finite number"),
        ("switch", 1, "true or false"),
        ("switch", "true", "true or false"),
        ("text", 3, "text"),
        ("text", None, "text"),
        ("names", "rgb", "a list of names"),
        ("names", (1,), "a list of names"),
        ("sizes", (1, "2"), "a list of whole numbers"),
        ("sizes", (True,), "a list of whole numbers"),
        ("inner", {"size": 1}, "Inner | None"),
        ("table", {"a": 1}, "dict"),
        ("table", [], "dict"),
    ],
)
def test_anything_else_is_named_with_what_was_received(name, value, wanted):
    with pytest.raises(ValueError) as error:
        Settings(**{name: value})
    assert str(error.value).startswith(f"{name}={value!r}: must be ") and wanted in str(error.value)


def test_a_list_becomes_the_tuple_that_is_asked_for():
    settings = Settings(names=["a", "b"], sizes=[3, 4])
    assert settings.names == ("a", "b") and settings.sizes == (3, 4)


@pytest.mark.parametrize("low, high, fails", [(1, 3, False), (2, 2, False), (3, 9, True), (0, 1, True)])
def test_within_counts_both_ends(low, high, fails):
    settings = Settings(whole=2)
    if fails:
        with pytest.raises(ValueError, match=f"whole=2: choose {low} to {high}"):
            checks.within(low, high, settings, "maybe", "whole")
    else:
        checks.within(low, high, settings, "maybe", "whole")


def test_at_least_passes_its_bound_and_none():
    checks.at_least(2, Settings(whole=2), "whole", "maybe")
    with pytest.raises(ValueError, match="maybe=1: must be at least 2"):
        checks.at_least(2, Settings(whole=2, maybe=1), "whole", "maybe")


def test_choices_and_repeats_are_named():
    checks.one_of("color", "red", ("red", "blue"))
    with pytest.raises(ValueError, match="color='green' is unknown; choose one of red, blue"):
        checks.one_of("color", "green", ("red", "blue"))
    checks.no_repeats("colors", ("red", "blue"))
    with pytest.raises(ValueError, match="colors=red,red: a name stands twice"):
        checks.no_repeats("colors", ("red", "red"))

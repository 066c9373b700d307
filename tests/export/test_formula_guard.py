import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from youtube8m_distill.export.formula_guard import spreadsheet_safe, without_protection

# As OWASP's page on CSV injection names them.
FORMULA_STARTS = "=+-@\t\r\n＝＋－＠"


@pytest.mark.parametrize(
    "text",
    [
        '=HYPERLINK("http://x")',
        "+cmd|' /C calc'!A0",
        "-2+3+cmd|' /C calc'!A0",
        "@SUM(A1)",
        "\tx",
        "\rx",
        "\nx",
        "＝1+1",
        "﹦1",
        "−1+1",
        " =1+1",
        "\u00a0=1",
        "\u200b=1",
        "\ufeff=1",
        '"=1',
        "' =1",
        "\x1b=1",
        "\x81\x81".encode("latin-1").decode("utf-8", "surrogateescape"),
        "=",
        "- ",
    ],
)
def test_text_that_may_be_a_formula_gets_an_apostrophe(text):
    assert spreadsheet_safe(text) == "'" + text


@pytest.mark.parametrize(
    "text", ["", "-abc", "--", "_x-1", "abcDEF-_09", "plain text", "a=1", "a\n=1", "é", "Rock'n'Roll", "3+4"]
)
def test_other_text_stays_unchanged(text):
    assert spreadsheet_safe(text) == text


@settings(max_examples=40)
@given(st.text(st.sampled_from("abzABZ019_-"), max_size=11))
def test_youtube_ids_never_change(text):
    assert spreadsheet_safe(text) == text


TEXTS = st.one_of(
    st.text(max_size=6),
    st.text(st.sampled_from("'\"=-+@ \t\ra(1"), max_size=5),
    st.binary(max_size=6).map(lambda data: data.decode("utf-8", "surrogateescape")),
)


@settings(max_examples=40)
@given(TEXTS)
def test_every_text_is_restored(text):
    assert without_protection(spreadsheet_safe(text)) == text


@settings(max_examples=40)
@given(TEXTS)
def test_protected_text_never_starts_a_formula(text):
    safe = spreadsheet_safe(text)
    assert re.fullmatch("[A-Za-z0-9_-]*", safe) or safe.lstrip(" ")[:1] not in tuple(FORMULA_STARTS)

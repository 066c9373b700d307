"""Protects untrusted text in CSV files from running as a formula in a spreadsheet.

Spreadsheets treat cells that start with = + - @ as formulas, which can start programs or open addresses.
https://owasp.org/www-community/attacks/CSV_Injection lists these characters, their full-width forms, tab and carriage
return, and the leading apostrophe that turns a cell into text.
"""

import re
import unicodedata

# Letters, digits, _ and - alone cannot call a function or name a file; that takes a bracket, a quote, | or !. One in 64
# YouTube ids starts with -, and ids must not change, because submissions are joined by them.
HARMLESS = re.compile(r"[A-Za-z0-9_-]+")
TRIGGERS = ("=", "+", "-", "@", "\N{MINUS SIGN}")


def spreadsheet_safe(text: str) -> str:
    """`text`, with a leading apostrophe if a spreadsheet could treat it as a formula or if it already has one.

    >>> spreadsheet_safe("=1+2"), spreadsheet_safe("-abc_123")
    ("'=1+2", '-abc_123')
    """
    return "'" + text if _needs_protection(text) else text


def without_protection(text: str) -> str:
    """The text before `spreadsheet_safe`."""
    return text.removeprefix("'")


def _needs_protection(text):
    if HARMLESS.fullmatch(text) or not text:
        return False
    if text.lstrip(" ")[:1] in ("'", "\t", "\r", "\n"):
        return True
    start = next((character for character in text if not _may_be_dropped(character)), "")
    # NFKC turns compatibility forms, such as the full-width =, into the plain character. A byte that is not UTF-8 (a
    # surrogate escape) may be a trigger in the encoding that a spreadsheet guesses.
    return unicodedata.normalize("NFKC", start)[:1] in TRIGGERS or unicodedata.category(start or "x") == "Cs"


def _may_be_dropped(character):
    """Whether a program may skip it at the start of a cell: spaces of any kind, quotes, invisible characters."""
    return character.isspace() or character in "\"'" or unicodedata.category(character) in ("Cc", "Cf")

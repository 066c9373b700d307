"""Texts from strangers in files that somebody may open in a spreadsheet: none of them is to run as a formula.

A spreadsheet takes a cell for a formula that begins with = + - @, and a formula can start programs or fetch addresses.
https://owasp.org/www-community/attacks/CSV_Injection names these characters, their full-width forms, tab and carriage
return, and the apostrophe in front that makes any cell a text.
"""

import re
import unicodedata

# Nothing but letters, digits, _ and - can call a function or name a file: that takes a bracket, a quote, | or !. About one
# in 64 ids of YouTube begins with -, and they must stay what they are, because submissions are joined by them.
HARMLESS = re.compile(r"[A-Za-z0-9_-]+")
TRIGGERS = "=+-@\N{MINUS SIGN}"
PROTECTION = "'"


def spreadsheet_safe(text):
    """`text` with an apostrophe in front where a spreadsheet could take it for a formula, or where it has one already.

    So `without_protection` gives every text back. One of the letters A to Z, digits, _ and - alone is never changed.
    """
    return PROTECTION + text if _needs_protection(text) else text


def without_protection(text):
    """What `spreadsheet_safe` was given."""
    return text.removeprefix(PROTECTION)


def _needs_protection(text):
    if HARMLESS.fullmatch(text) or not text:
        return False
    if text.lstrip(" ")[:1] in ("'", "\t", "\r", "\n"):
        return True
    start = next((character for character in text if not _may_be_dropped(character)), "")
    # Compatibility forms, such as the full-width =, become what they stand for. A byte that is not UTF-8 (a surrogate
    # escape) may be one of them in the encoding that a spreadsheet guesses.
    return unicodedata.normalize("NFKC", start)[:1] in tuple(TRIGGERS) or unicodedata.category(start or "x") == "Cs"


def _may_be_dropped(character):
    """Whether a program may read over it at the start of a cell: spaces of any kind, quotes, what is not seen."""
    return character.isspace() or character in "\"'" or unicodedata.category(character) in ("Cc", "Cf")

"""What was left out of some files, for people: a list of every record, and a line with their number."""

import csv
import io
import pathlib

from youtube8m_distill import files


def counts_of(*found):
    """How many records of Screenings are bad: "3 of 1,200 records (0.25 %)"."""
    bad, total = (sum(getattr(one, name) for one in found) for name in ("num_bad", "num_records"))
    about = "" if all(one.is_exact for one in found) else "about "
    return f"{about}{bad:,} of {total:,} records ({_percent(bad / total)})"


def _percent(share):
    """To two digits, so that one in a million is not none: "0.25 %", "31 %", "100 %"."""
    return f"{float(f'{100 * share:.2g}'):g} %"


def write_report(path, *found):
    """Lists everything that was left out as CSV, one row each: file, record (empty for the rest of a file), reason.

    Args:
        path: where it goes.
        *found: Screenings. Where nobody has looked at any of the files nothing is written, and an old list removed.
    Returns:
        str, a line for the user, with how many records were left out; empty where none was.
    Raises:
        OSError: if the file cannot be written.
    """
    found = [one for one in found if one.num_records is not None]
    if not found:
        pathlib.Path(path).unlink(missing_ok=True)
        return ""
    text = io.StringIO()
    rows = csv.writer(text, lineterminator="\n")
    rows.writerow(("file", "record", "reason"))
    for fault in (fault for one in found for fault in one.faults):
        # No name that a spreadsheet would take for a formula.
        name = f"./{fault.path}" if fault.path.startswith(("=", "+", "-", "@")) else fault.path
        rows.writerow((name, "" if fault.record is None else fault.record, fault.reason))
    files.write_text(path, text.getvalue().encode("utf-8", "backslashreplace").decode())
    if not any(one.num_bad for one in found):
        return ""
    return f"Warning: {counts_of(*found)} were left out; listed in {path}"

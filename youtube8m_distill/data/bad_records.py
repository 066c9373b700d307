"""One clear error for an invalid record: its file, its number, and the reason.

Inside a dataset only TensorFlow can raise. So checks put their reason between two markers in its message, and
`naming_bad_records` reads it there.
"""

import contextlib
import re
from collections.abc import Iterator, Sequence

import tensorflow as tf

from youtube8m_distill.data import file_access, tfrecord
from youtube8m_distill.data.find_files import is_unreachable, unreachable_files
from youtube8m_distill.data.stored_features import NO_EXAMPLE
from youtube8m_distill.errors import BadRecordError as BadRecordError

START, END = "<bad record>", "</bad record>"
STORED_AS = {"string": "bytes", "float": "floats", "int64": "integers"}  # TensorFlow's word -> the word in messages


def record_name(path, number):
    """ "<path>, record <number>". string, of the shape of the arguments."""
    return _text(path, ", record ", number)


def _text(*parts):
    """Joins strings and tensors."""
    return tf.strings.join(
        [tf.strings.as_string(part) if tf.is_tensor(part) and part.dtype != tf.string else part for part in parts]
    )


def require(names, find_checks, *values, portable=False):
    """Fails with the name of the first record that is invalid, and the reason of the first check that it fails.

    Args:
        names: string [B], from `record_name`.
        find_checks: function of `values` -> list of (bool [B], reason). A reason is a function of a row that returns parts
            of a text, strings and scalars. It runs eagerly, and only for a failed check. In the graph, reasons would
            be about a third of a parser and slow down the start of every iterator.
        values: nested structures of tensors or RaggedTensors, passed to `find_checks`.
        portable: whether the graph must also work in another process, without Python. Reasons are then in the graph, so
            they may use no Python values of tensors.
    Returns:
        bool scalar, true. Ops that must not run on invalid records go under its control dependency.
    """
    # TensorFlow keeps `explain` forever. If it referred to the values themselves, it would keep their graph, too.
    structure = tf.nest.map_structure(tf.type_spec_from_value, values)

    def explain(names, *flat):
        with tf.device("CPU:0"):
            checks = find_checks(*tf.nest.pack_sequence_as(structure, flat, expand_composites=True))
            return _text(START, _first_fault(names, checks), END)

    def fail():
        if portable:
            with tf.control_dependencies([tf.debugging.Assert(False, [_first_fault(names, find_checks(*values))])]):
                return tf.constant(False)
        flat = tf.nest.flatten(values, expand_composites=True)
        with tf.control_dependencies([tf.debugging.Assert(False, [tf.py_function(explain, [names, *flat], tf.string)])]):
            return tf.constant(False)

    holds = tf.stack([holds for holds, _ in find_checks(*values)])
    return tf.cond(tf.reduce_all(holds), lambda: tf.constant(True), fail)


def _first_fault(names, checks):
    """The name of the first record that fails a check, and the reason of the first check that it fails. string scalar."""
    holds = tf.stack([holds for holds, _ in checks])  # [checks, B]
    row = tf.argmin(tf.cast(tf.reduce_all(holds, axis=0), tf.int8))
    first = tf.argmin(tf.cast(holds[:, row], tf.int8), output_type=tf.int32)
    return tf.switch_case(first, [lambda reason=reason: _text(names[row], ": ", *reason(row)) for _, reason in checks])


@contextlib.contextmanager
def naming_bad_records(shards: Sequence[tfrecord.Shard] = ()) -> Iterator[None]:
    """Turns TensorFlow's errors about invalid records, raised while batches are drawn, into BadRecordErrors.

    TensorFlow does not name a damaged file, so it is searched for among `shards`, the files being read.
    """
    try:
        yield
    except tf.errors.InvalidArgumentError as error:
        reason = _explain(error.message)
        if reason is None:
            raise
        raise BadRecordError(reason) from None
    except tf.errors.DataLossError as error:
        raise BadRecordError(_locate(error.message, shards)) from None
    except tf.errors.OpError as error:
        if not is_unreachable(error):
            raise
        is_named = not shards or any(shard.path in error.message for shard in shards)
        with unreachable_files("a file of records" if is_named else f"a file such as {shards[0].path}"):
            raise


def _explain(message):
    """ "file <path>, record <number>: <reason>" from a TensorFlow message; None if it is not about a record."""
    marked = re.search(f"{START}(.*){END}", message, re.DOTALL)
    if marked:  # with the escapes that Assert writes
        return "file " + marked[1].encode("latin-1", "backslashreplace").decode("unicode_escape")
    mismatch = re.search(
        r"Name: (.+, record \d+), (?:Feature list|Context feature): (.+?)(?:, Index: \d+)?\. +"
        r"Data types don't match\. Expected type: (\w+)",
        message,
        re.DOTALL,
    )
    if mismatch:
        name, feature, expected = mismatch.groups()
        return f"file {name}: {feature!r} is not stored as {STORED_AS.get(expected, expected)}"
    garbled = re.search(
        r"(?:Invalid protocol message input, example id:|feature .+ in example) (.+, record \d+)", message, re.DOTALL
    )
    if garbled:
        return f"file {garbled[1]}: {NO_EXAMPLE}"
    # For some garbled records the parser reports only the name of a feature.
    unnamed = re.search(r"Unexpected (?:total )?number of elements (?:in|for) feature .*", message)
    return f"a record is {NO_EXAMPLE} ({unnamed[0]})" if unnamed else None


def _locate(message, shards):
    """Names the damaged file: the one with an unreadable record at the byte that TensorFlow reports."""
    found = re.search(r"record at (\d+)", message)
    for shard in sorted(shards, key=lambda shard: not file_access.is_here(shard.path)):  # it was read, so it was copied
        if not found or _may_have_record_at(shard, int(found[1])):
            number, _, is_damaged = tfrecord.count_readable(shard)
            if is_damaged:
                return f"file {shard.path}, record {number}: {tfrecord.DAMAGED}"
    return f"a file is damaged or cut short ({message.splitlines()[0]}); fetch it again"


def _may_have_record_at(shard, position):
    """Whether a record may start at `position`, or just before it (some errors give the end of the header)."""
    if shard.compression:
        return True  # the position is in uncompressed bytes
    try:
        for start in tfrecord.record_starts(shard):
            if start + tfrecord.HEADER_BYTES >= position:
                return start <= position
    except ValueError:
        return True
    return False

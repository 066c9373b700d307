"""One clear error for a malformed record: its file, its number, what is wrong.

Inside a dataset only TensorFlow can raise, with messages that speak of graph nodes. So a record carries its file and
number along; what parsing finds wrong is put between two markers here, and read back from the message where the
batches come out (`naming_bad_records`).
"""

import contextlib
import re

import tensorflow as tf

from youtube8m_distill.data import tfrecord

START, END = "<bad record>", "</bad record>"
STORED_AS = {"string": "bytes", "float": "floats", "int64": "integers"}  # TensorFlow's words, and ours


class BadRecordError(ValueError):
    """A record that cannot be used. The message is one line with file, record number (the first is 0) and reason."""


def record_name(path, number):
    """What tells a record from all others: "<path>, record <number>". string, of the shape of the arguments."""
    return tf.strings.join([path, ", record ", tf.strings.as_string(number)])


def require(name, checks):
    """Fails with the first check that does not hold. The reason is put together only when something is wrong.

    Args:
        name: string scalar, from `record_name`.
        checks: list of (bool scalar, function without arguments -> string scalar, the reason).
    Returns:
        bool scalar, true. Ops that must not run on a malformed record go under its control dependency.
    Raises:
        tf.errors.InvalidArgumentError: that `naming_bad_records` can read.
    """

    def fail():
        message = tf.strings.join([START, name, ": ", _first_reason(checks), END])
        with tf.control_dependencies([tf.debugging.Assert(False, [message])]):
            return tf.constant(False)

    return tf.cond(tf.reduce_all([holds for holds, _ in checks]), lambda: tf.constant(True), fail)


def _first_reason(checks):
    (holds, reason), *others = checks
    # Branches, not `tf.where`: a reason may be computable only where its own check fails.
    return tf.cond(holds, lambda: _first_reason(others), reason) if others else reason()


@contextlib.contextmanager
def naming_bad_records(shards=()):
    """Turns what TensorFlow raises over a bad record, while batches are drawn, into a BadRecordError.

    Args:
        shards: the files being read. TensorFlow does not say which file is damaged; with them it is searched for.
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


def _explain(message):
    """ "file <path>, record <number>: <reason>" from a TensorFlow message about a record; None if it is about another."""
    ours = re.search(f"{START}(.*){END}", message, re.DOTALL)
    if ours:
        return "file " + re.sub(r"\\([0-7]{3}|.)", lambda found: _unescaped(found[1]), ours[1])  # as Assert prints them
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
        return f"file {garbled[1]}: neither a SequenceExample nor an Example"
    # Of some garbled records the parser says no more than the name of a feature.
    unnamed = re.search(r"Unexpected (?:total )?number of elements (?:in|for) feature .*", message)
    return f"a record is neither a SequenceExample nor an Example ({unnamed[0]})" if unnamed else None


def _unescaped(code):
    """The character that stands behind a backslash: a quote or a backslash itself, a letter for another, or octal."""
    return {"n": "\n", "r": "\r", "t": "\t"}.get(code, code) if len(code) == 1 else chr(int(code, 8))


def _locate(message, shards):
    """Names the damaged file: the one with an unreadable record at the byte that TensorFlow complains about."""
    found = re.search(r"record at (\d+)", message)
    for shard in shards:
        if found and not _has_boundary_near(shard, int(found[1])):
            continue
        number = tfrecord.first_unreadable(shard)
        if number is not None:
            return f"file {shard.path}, record {number}: {tfrecord.DAMAGED}"
    return f"a file is damaged or cut short ({message.splitlines()[0]}); fetch it again"


def _has_boundary_near(shard, position):
    """Whether a record may start at `position`, or just before it (a bad record is told by its header's end)."""
    if shard.compression:
        return True  # the position counts uncompressed bytes
    try:
        for start in tfrecord.record_starts(shard):
            if start > position:
                return False
            if position - start <= tfrecord.HEADER_BYTES:
                return True
    except ValueError:
        return True
    return False

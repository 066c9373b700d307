"""Cuts frames directly out of serialized records, a batch of records at a time.

In a record of the official layout each frame of a feature takes the same number of bytes: its size, after a constant
header. So frames can be cut out without touching the others. Format: the wire format of `tf.train.SequenceExample`,

    0a <length> context   12 <length> ( 0a <length> ( 0a <length> name   12 <length> frames ) ) for each feature list

Whether a record has this layout is checked exactly: every length on the way and the header of every frame. Such a record
cannot be read in any other way. Lists that were not requested are skipped.
"""

import typing

import tensorflow as tf

CONTEXT, LISTS, ENTRY, NAME, FRAMES = 0x0A, 0x12, 0x0A, 0x0A, 0x12  # tags, by what follows
LONGEST_LENGTH = 5  # bytes of a length; records are shorter than 2 ** 35
COLUMNS = 50  # frames whose headers are checked in one iteration of a loop


class Blocks(typing.NamedTuple):
    """Where the frames of a batch of records are. The rest has no meaning where `official` is false."""

    official: tf.Tensor  # bool [B]
    context: tf.Tensor  # string [B], the bytes before the feature lists
    stored_frames: tf.Tensor  # int32 [B]
    starts: tf.Tensor  # int32 [B, features], where the first frame's stride begins, in bytes
    beginning: typing.Any  # uint8 [B, T, sum of feature sizes], the first T frames, zero in padding; None if T is 0


def frame_header(size):
    """The bytes before those of a frame: tags and lengths of a Feature, its BytesList and its one byte string."""
    frame = tf.train.Feature(bytes_list=tf.train.BytesList(value=[bytes(size)]))
    return tf.train.FeatureList(feature=[frame]).SerializeToString()[:-size]


def locate(serialized, features, beginning=0, cut_to=None):
    """The Blocks of serialized records, string [B]: where their frames are, and whether they have the official layout.

    `beginning` is how many of the first frames to cut out in one piece, the fastest way if all are needed. `cut_to` is a
    function that lowers it for the frames of the longest video.
    """
    end = tf.strings.length(serialized)  # [B]
    tag, _, context_end = _field(serialized, tf.zeros_like(end))
    official = tf.equal(tag, CONTEXT) & (context_end <= end)
    context = tf.strings.substr(serialized, tf.zeros_like(end), tf.where(official, context_end, 0))
    tag, place, lists_end = _field(serialized, context_end)
    official &= tf.equal(tag, LISTS) & tf.equal(lists_end, end)
    official, starts, sizes = _find_lists(serialized, features.names, official, place, end)
    strides = tf.constant([size + len(frame_header(size)) for size in features.sizes])
    counts = sizes // strides  # [B, features]
    stored_frames = counts[:, 0]
    official &= (stored_frames > 0) & tf.reduce_all(tf.equal(counts * strides, sizes), axis=1)
    official &= tf.reduce_all(tf.equal(counts, stored_frames[:, None]), axis=1)
    stored_frames = tf.where(official, stored_frames, 0)
    longest = tf.minimum(tf.reduce_max(stored_frames), beginning)
    length = beginning if cut_to is None else cut_to(longest, beginning)
    parts = []
    for i, size in enumerate(features.sizes):
        if beginning:
            part, holds = _cut_beginning(serialized, starts[:, i], tf.minimum(stored_frames, beginning), size, length)
            parts.append(part)
            official &= holds
        official &= _has_frame_headers(serialized, starts[:, i], stored_frames, size, beginning)
    return Blocks(official, context, stored_frames, starts, tf.concat(parts, axis=2) if parts else None)


def _field(serialized, place):
    """Tag, start and end of the field at `place` of each record. string [B], int32 [B] -> three int32 [B].

    `end` may be beyond the record, never before `start`. The tag is -1 if there is no valid length.
    """
    place = tf.minimum(place, tf.strings.length(serialized))
    window = tf.strings.substr(serialized, place, tf.fill(tf.shape(place), 1 + LONGEST_LENGTH))
    window = tf.cast(tf.io.decode_raw(window, tf.uint8, fixed_length=1 + LONGEST_LENGTH), tf.int32)
    more = tf.cast(window[:, 1:] >= 0x80, tf.int32)
    goes_on = tf.math.cumprod(more, axis=1)  # [B, 5]
    belongs = tf.concat([tf.ones_like(goes_on[:, :1]), goes_on[:, :-1]], axis=1)
    bits = tf.cast((window[:, 1:] & 0x7F) * belongs, tf.int64)
    length = tf.reduce_sum(bits * [2 ** (7 * i) for i in range(LONGEST_LENGTH)], axis=1)
    start = place + 1 + tf.reduce_sum(belongs, axis=1)
    end = tf.cast(tf.minimum(tf.cast(start, tf.int64) + length, tf.int32.max), tf.int32)
    return tf.where(tf.equal(goes_on[:, -1], 1), -1, window[:, 0]), start, end


def _find_lists(serialized, names, official, place, end):
    """Walks over the feature lists of each `official` record, from `place` to `end`, and skips those not in `names`.

    Returns:
        (official, starts, sizes): bool [B], whether each feature was found exactly once, and nothing but lists; int32
        [B, features], start and bytes of the frames of each feature.
    """

    def step(official, place, starts, sizes):
        walking = official & (place < end)
        tag, name_place, list_end = _field(serialized, place)
        name_tag, name_start, name_end = _field(serialized, name_place)
        frames_tag, frames_start, frames_end = _field(serialized, name_end)
        fits = walking & (tag == ENTRY) & (name_tag == NAME) & (frames_tag == FRAMES)
        fits &= (frames_end == list_end) & (list_end <= end)
        name = tf.strings.substr(serialized, tf.where(fits, name_start, 0), tf.where(fits, name_end - name_start, 0))
        here = fits[:, None] & tf.equal(name[:, None], tf.constant(names))  # [B, features]
        twice = tf.reduce_any(here & (starts >= 0), axis=1)
        return (
            official & ~twice & (fits | ~walking),
            tf.where(walking, list_end, place),
            tf.where(here, frames_start[:, None], starts),
            tf.where(here, (frames_end - frames_start)[:, None], sizes),
        )

    nowhere = tf.fill([tf.shape(end)[0], len(names)], -1)
    official, _, starts, sizes = tf.while_loop(
        lambda official, place, *_: tf.reduce_any(official & (place < end)),
        step,
        (official, place, nowhere, tf.zeros_like(nowhere)),
    )
    return official & tf.reduce_all(starts >= 0, axis=1), starts, sizes


def _has_frame_headers(serialized, start, num_frames, size, first):
    """Whether every frame of one feature from number `first` on starts with its header. bool [B].

    Arguments as for `_cut_beginning`, but of all frames.
    """
    header = frame_header(size)
    expected = tf.constant([header * count for count in range(COLUMNS + 1)])

    def step(first, holds):
        frame = first + tf.range(COLUMNS)[:, None]  # [COLUMNS, 1]
        exists = frame < num_frames
        places = tf.where(exists, start + frame * (len(header) + size), 0)  # [COLUMNS, B]
        found = tf.strings.join(_pieces(serialized, places, tf.where(exists, len(header), 0)))
        count = tf.clip_by_value(num_frames - first, 0, COLUMNS)
        return first + COLUMNS, holds & tf.equal(found, tf.gather(expected, count))

    _, holds = tf.while_loop(lambda first, _: tf.reduce_any(first < num_frames), step, (first, tf.ones_like(start, tf.bool)))
    return holds


def _cut_beginning(serialized, start, num_frames, size, length):
    """The first frames of one feature, uint8 [B, length, size], and whether each has its header, bool [B].

    The feature's frames, of `size` bytes each, begin at `start`, int32 [B]. `num_frames`, int32 [B], is at most `length`.
    """
    header = frame_header(size)
    stride = len(header) + size
    block = tf.strings.substr(serialized, tf.where(num_frames > 0, start, 0), num_frames * stride)
    strides = tf.reshape(tf.io.decode_raw(block, tf.uint8, fixed_length=length * stride), [-1, length, stride])
    same = tf.reduce_all(tf.equal(strides[:, :, : len(header)], list(header)), axis=2)
    exists = tf.range(length) < num_frames[:, None]
    return strides[:, :, len(header) :], tf.reduce_all(same | ~exists, axis=1)


def cut(serialized, blocks, indices, features):
    """The frames at `indices` of every record, each cut out on its own, for a few of many frames.

    string [B], their `official` Blocks, int32 [B, T] (-1 for padding) -> uint8 [B, T, features.size], zero in padding.
    """
    frames = tf.transpose(indices)  # [T, B]
    exists, columns = frames >= 0, []
    for i, size in enumerate(features.sizes):
        header = len(frame_header(size))
        places = tf.where(exists, blocks.starts[:, i] + frames * (header + size) + header, 0)
        columns.append(_pieces(serialized, places, tf.where(exists, size, 0)))
    # Joined in the order of the result, frame by frame with all features, so that no byte is moved again. `fixed_length`
    # pads with zeros at the end.
    joined = tf.strings.join([part for frame in zip(*columns) for part in frame])
    decoded = tf.io.decode_raw(joined, tf.uint8, fixed_length=indices.shape[1] * features.size)
    return tf.reshape(decoded, [-1, indices.shape[1], features.size])


def _pieces(serialized, places, lengths):
    """Pieces of each record. string [B], int32 [N, B], int32 [N, B] -> list of N string [B]."""
    return [tf.strings.substr(serialized, *piece) for piece in zip(tf.unstack(places), tf.unstack(lengths))]

"""Seed inputs, and mutations that keep the format of an input. Random changes of bytes would rarely produce them."""

import io
import json
import tarfile

import numpy as np
import tensorflow as tf

from tests import networks, records
from youtube8m_distill import config

ODD_NUMBERS = (-(2**63), -1, 0, 1, 2, 4, 5, 6, 255, 300, 301, 2**31, 2**32, 2**63 - 1)
ODD_FLOATS = (0.0, -0.0, 1.0, -2.5, 1e-45, 3.4e38, float("inf"), float("-inf"), float("nan"))
NAMES = ("id", "video_id", "labels", "rgb", "audio", "mean_rgb", "mean_audio", "segment_labels", "")
ODD_VALUES = (
    None,
    True,
    False,
    0,
    1,
    -1,
    2,
    10**12,
    10**400,
    0.5,
    -0.0,
    1e308,
    float("nan"),
    float("inf"),
    "",
    "teacher",
    "student",
    "uniform",
    "../../evil",
    "\ud800",
    "x" * 1000,
    [],
    [1, 2],
    ["rgb", "rgb"],
    {},
    {"format": 2},
)


# ---- records ---------------------------------------------------------------------------------------------------------


def some_records():
    """Serialized records of every layout, each valid for one of `checks.PARSERS`."""
    found = [
        records.frame_record(records.random_frames(count, seed=count), b"video %d" % count, labels, key)
        for count, labels, key in ((1, (), "id"), (3, (1, 4), "video_id"), (12, (0,), "id"), (302, (2,), "id"))
    ]
    floats = records.random_frames(3, seed=3, dtype="float32")  # pyright: ignore[reportArgumentType]
    means = {f"mean_{name}": rows[0] for name, rows in floats.items()}
    return [*found, records.frame_record(floats, b"floats", (3,)), records.video_record(means, b"means", (2, 0))]


def mutate_record(serialized, random):
    """Changes a record: changes, adds, removes, or retypes fields, or encodes the message differently.

    Args:
        serialized: bytes. They are returned unchanged if they are not a message.
        random: random.Random.
    """
    try:
        message = tf.train.SequenceExample.FromString(serialized)
    except Exception:  # not a message
        return serialized
    for _ in range(random.randint(1, 3)):
        random.choice(MESSAGE_CHANGES)(message, random)
    written = message.SerializeToString()
    return random.choice(WIRE_CHANGES)(written, random) if random.random() < 0.2 else written


def _change_feature(feature, random):
    kind = random.choice(("bytes_list", "float_list", "int64_list", None, feature.WhichOneof("kind")))
    if kind is None:
        feature.Clear()
        return
    values = getattr(feature, kind).value
    count = random.choice((0, 1, 1, 1, 2, 6, 3, len(values), 2 * len(values)))
    new = {
        "bytes_list": lambda: random.randbytes(random.choice((0, 1, 3, 6, 9, 12, 18))),
        "float_list": lambda: random.choice(ODD_FLOATS) if random.random() < 0.2 else random.gauss(0, 1),
        "int64_list": lambda: random.choice(ODD_NUMBERS),
    }[kind]
    kept = list(values)[:count] if random.random() < 0.5 else []
    del values[:]
    values.extend(kept + [new() for _ in range(count - len(kept))])
    if not values:
        getattr(feature, kind).SetInParent()


def _change_context(message, random):
    _change_feature(message.context.feature[random.choice(NAMES)], random)


def _drop_context(message, random):
    message.context.feature.pop(random.choice(NAMES), None)


def _rename_context(message, random):
    old, new = random.choice(NAMES), random.choice(NAMES)
    if old in message.context.feature:
        message.context.feature[new].CopyFrom(message.context.feature[old])


def _list(message, random):
    names = list(message.feature_lists.feature_list) or NAMES
    name = random.choice(names) if random.random() < 0.8 else random.choice(NAMES)
    return message.feature_lists.feature_list[name].feature


def _change_frame(message, random):
    frames = _list(message, random)
    _change_feature(random.choice(frames) if frames else frames.add(), random)


def _drop_frames(message, random):
    frames = _list(message, random)
    if frames:
        start = random.randrange(len(frames))
        del frames[start : start + random.choice((1, 1, len(frames)))]


def _add_frames(message, random):
    frames = _list(message, random)
    for _ in range(random.choice((1, 1, 2, 20))):
        frames.add().CopyFrom(frames[0] if len(frames) else tf.train.Feature())


def _resplit_frames(message, random):
    """Splits the same bytes into frames of a different size, like a writer with a wrong setting."""
    frames = _list(message, random)
    joined = b"".join(b"".join(frame.bytes_list.value) for frame in frames)
    size = random.choice((1, 2, 3, 6, 9, 12, 18))
    del frames[:]
    for start in range(0, len(joined), size):
        frames.add().bytes_list.value.append(joined[start : start + size])


def _drop_list(message, random):
    message.feature_lists.feature_list.pop(random.choice(NAMES), None)


MESSAGE_CHANGES = (
    _change_context,
    _drop_context,
    _rename_context,
    _change_frame,
    _drop_frames,
    _add_frames,
    _resplit_frames,
    _drop_list,
)

# Rarely written encodings: unknown fields, fields in any order or in pieces, and lengths with more bytes than needed.
_UNKNOWN = (
    b"\x18\x05",
    b"\x22\x03abc",
    b"\x1d\x01\x02\x03\x04",
    b"\x1b\x1c",
    b"\x0a\x00",
    b"\x12\x00",
    b"\x08\x01",
    b"\xfa\xff\xff\xff\x0f\x01x",
)


def _twice(written, random):
    return written + written


def _with_unknown(written, random):
    unknown = random.choice(_UNKNOWN)
    return unknown + written if random.random() < 0.5 else written + unknown


def _in_pieces(written, random):
    message = tf.train.SequenceExample.FromString(written)
    parts = [tf.train.SequenceExample(), tf.train.SequenceExample(), tf.train.SequenceExample()]
    for name, feature in message.context.feature.items():
        random.choice(parts).context.feature[name].CopyFrom(feature)
    for name, frames in message.feature_lists.feature_list.items():
        random.choice(parts).feature_lists.feature_list[name].CopyFrom(frames)
    random.shuffle(parts)
    return b"".join(part.SerializeToString() for part in parts)


def _longer_length(written, random):
    """Encodes one byte that may be a length as two bytes with the same value."""
    places = [i for i, byte in enumerate(written[:400]) if 0 < byte < 0x80]
    if not places:
        return written
    place = random.choice(places)
    return written[:place] + bytes([written[place] | 0x80, 0]) + written[place + 1 :]


def _cut(written, random):
    return written[: random.randrange(len(written) + 1)]


def _with_name_in_bytes(written, random):
    """Replaces the name of a feature with invalid UTF-8."""
    return written.replace(random.choice((b"rgb", b"id", b"audio")), random.choice((b"r\xffb", b"\xc3d", b"rgb")), 1)


WIRE_CHANGES = (_twice, _with_unknown, _in_pieces, _longer_length, _cut, _with_name_in_bytes)


# ---- configurations --------------------------------------------------------------------------------------------------


def some_configs():
    """Contents of config.json for every family and every mode."""
    training = config.TrainingConfig()
    found = [
        config.RunConfig(mode="teacher", networks={"teacher": network}, training=training)
        for network in networks.every_network().values()
    ]
    both = {"teacher": networks.frame_level(), "student": networks.frame_level()}
    found += [
        config.RunConfig(mode=mode, networks=both, training=training, distillation=config.DistillationConfig())
        for mode in ("serial", "parallel")
    ]
    return [config.to_json(run) for run in found]


def mutate_config(text, random):
    """Changes a JSON text: changes, removes, or renames values, or copies them from elsewhere."""
    try:
        values = json.loads(text)
    except (ValueError, RecursionError):
        return text
    for _ in range(random.randint(1, 3)):
        places = list(_places(values))
        if not places:
            break
        holder, key = random.choice(places)
        choice = random.random()
        if choice < 0.5:
            holder[key] = random.choice(ODD_VALUES)
        elif choice < 0.7:
            other, of = random.choice(places)
            holder[key] = json.loads(json.dumps(other[of]))
        elif choice < 0.9 or isinstance(holder, list):
            del holder[key]
        else:
            holder[random.choice([key for _, key in places])] = holder.pop(key)
    return json.dumps(values)


def _places(value):
    """Yields (dict or list, key or index) for everything inside a JSON value."""
    inside = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in inside:
        yield value, key
        yield from _places(item)


# ---- CSV -------------------------------------------------------------------------------------------------------------


def some_csv():
    """Bytes from which ids, classes, and scores are generated."""
    return [bytes(range(256)), b'=1+1,"a"\r\n' * 20, bytes(60), b"\xff\xfe\x00'" * 30]


def batch(video_ids, classes, scores, k):
    """A batch for `checks.check_csv` from lists of rows. The lists may be empty."""
    return video_ids, np.reshape(np.int64(classes), [-1, k]), np.reshape(np.float32(scores), [-1, k])


# ---- archives --------------------------------------------------------------------------------------------------------


def some_archives():
    """Tar files like those from `archive.pack`, with a few bytes instead of weights."""
    text = config.to_json(
        config.RunConfig(mode="teacher", networks={"teacher": networks.frame_level()}, training=config.TrainingConfig())
    )
    entries = {"config.json": text.encode(), "best/progress.json": b'{"step": 3}', "best/teacher.weights.h5": b"weights"}
    return [_tar(entries.items()), _tar(reversed(entries.items()))]


def mutate_archive(content, random):
    """Changes a tar file: renames, retypes, duplicates, removes, or reorders members, or changes their content."""
    try:
        with tarfile.open(fileobj=io.BytesIO(content)) as archive:
            members = [(member, _content(archive, member)) for member in archive]
    except Exception:  # not a tar file
        return content
    if not members:
        return content
    member, data = members[random.randrange(len(members))]
    choice = random.randrange(6)
    if choice == 0:
        member.name = random.choice(("/tmp/evil", "../evil", "best/../../evil", "best", "evil.pkl", "config.json"))
    elif choice == 1:
        member.type, member.linkname = random.choice(b"01234567xgLK").to_bytes(), "/etc/passwd"
    elif choice == 2:
        members.append((member, data))
    elif choice == 3:
        members.remove((member, data))
    elif choice == 4:
        data = mutate_config(data.decode("utf-8", "replace"), random).encode("utf-8", "replace")
        members = [(other, data if other is member else old) for other, old in members]
    else:
        random.shuffle(members)
    return _tar((member, data) for member, data in members)


def _content(archive, member):
    file = archive.extractfile(member) if member.isreg() else None
    return file.read() if file else b""


def _tar(entries):
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.GNU_FORMAT) as archive:
        for member, data in entries:
            if isinstance(member, str):
                member = tarfile.TarInfo(member)
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
    return buffer.getvalue()

"""Runs one fuzz target: python -m fuzz records|plain|configs|csv|archives [libFuzzer flags such as -runs=100000]

It exits with 0 after that many inputs. An input that fails a check ends it with a traceback and is saved in build/fuzz/. To
reproduce the failure, pass that file as an argument. (Valid records are read together, so the cause may instead be one of
the 15 records before.)
"""

import dataclasses
import os
import pathlib
import random
import sys
import tempfile

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # this and the next before TensorFlow is imported
os.environ.setdefault("CUDA_VISIBLE_DEVICES", "-1")

import atheris  # noqa: E402  # pyright: ignore[reportMissingModuleSource]
import tensorflow as tf  # noqa: E402, F401      imported here, so that it is not instrumented

with atheris.instrument_imports(include=["youtube8m_distill", "fuzz"]):  # pyright: ignore[reportAttributeAccessIssue]
    from fuzz import checks, mutations

OUTPUT = pathlib.Path("build") / "fuzz"
MAX_INPUT_BYTES = 20_000  # a record with 302 frames of 9 bytes has 6,000
SECONDS_PER_INPUT = 60  # longer is a hang; the first input of a parser includes tracing


def records(alone):
    """The first byte chooses the parser. Valid records are read together, except if `alone`, to reproduce a failure."""
    found = [checks.RecordCheck(parser, 1 if alone else 16) for parser in checks.PARSERS.values()]
    seeds = [bytes([number]) + record for record in mutations.some_records() for number in range(len(found))]
    return (
        lambda data: found[data[0] % len(found)](data[1:]) if data else None,
        seeds,
        lambda data, chance: data[:1] + mutations.mutate_record(data[1:], chance),
    )


def plain(alone):
    """The reader without TensorFlow."""
    parser, seeds = dataclasses.replace(checks.PARSERS["uniform"], with_labels=False), mutations.some_records()
    path = str(_folder() / "records")
    return lambda data: checks.check_plain(data, parser, seeds[1], path), seeds, mutations.mutate_record


def configs(alone):
    return (
        lambda data: checks.check_config(data.decode("utf-8", "surrogateescape")),
        [text.encode() for text in mutations.some_configs()],
        lambda data, chance: mutations.mutate_config(data.decode("utf-8", "replace"), chance).encode("utf-8", "replace"),
    )


def csv(alone):
    folder = _folder()
    provider = atheris.FuzzedDataProvider  # pyright: ignore[reportAttributeAccessIssue]
    return lambda data: checks.check_csv(folder, _rows(provider(data))), mutations.some_csv(), None


def _rows(data):
    """Makes batches for `checks.check_csv` from bytes."""
    batches, k = [], data.ConsumeIntInRange(1, 4)
    for _ in range(data.ConsumeIntInRange(0, 3)):
        count = data.ConsumeIntInRange(0, 4)
        ids = [data.ConsumeBytes(data.ConsumeIntInRange(0, 12)) for _ in range(count)]
        classes = [data.ConsumeIntListInRange(k, 0, 2**31 - 1) for _ in range(count)]
        scores = [data.ConsumeFloatListInRange(k, 0.0, 1.0) for _ in range(count)]
        if data.ConsumeProbability() < 0.9:  # unsorted scores are mostly refused
            scores = [sorted(row, reverse=True) for row in scores]
        batches.append(mutations.batch(ids, classes, scores, k))
    return batches


def archives(alone):
    folder = _folder()
    return lambda data: checks.check_archive(folder, data), mutations.some_archives(), mutations.mutate_archive


def _folder():
    return pathlib.Path(tempfile.mkdtemp(prefix="yt8m_fuzz"))


def _mutator(change):
    """A mutator that uses libFuzzer's own mutations half of the time, and `change` otherwise."""

    def mutate(data, max_size, seed):
        chance = random.Random(seed)
        if chance.random() < 0.5:
            return atheris.Mutate(data, max_size)
        changed = change(data, chance)
        return changed if len(changed) <= max_size else atheris.Mutate(data, max_size)

    return mutate


def main(arguments):
    if not arguments or arguments[0] not in TARGETS:
        sys.exit(__doc__)
    name, *options = arguments
    given = [option for option in options if not option.startswith("-")]  # files to reproduce
    check, seeds, change = TARGETS[name](bool(given))
    corpus = OUTPUT / name
    corpus.mkdir(parents=True, exist_ok=True)
    for number, seed in enumerate(seeds):
        (corpus / f"seed-{number}").write_bytes(seed)
    options = [
        f"-max_len={MAX_INPUT_BYTES}",
        f"-timeout={SECONDS_PER_INPUT}",
        "-rss_limit_mb=6000",
        "-print_final_stats=1",
        "-verbosity=0",
        f"-artifact_prefix={OUTPUT / name}.",
        *options,
        *([] if given else [str(corpus)]),
    ]
    # A custom mutator replaces libFuzzer's own.
    mutators = {} if change is None else {"custom_mutator": _mutator(change)}
    atheris.Setup([sys.argv[0], *options], check, **mutators)
    atheris.Fuzz()


TARGETS = {"records": records, "plain": plain, "configs": configs, "csv": csv, "archives": archives}

if __name__ == "__main__":
    main(sys.argv[1:])

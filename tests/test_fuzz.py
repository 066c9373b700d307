"""The fuzzer's checks on a few hundred inputs; `make fuzz` runs them on many more."""

import dataclasses
import json
import random

import numpy as np
import pytest
from hypothesis import given, settings, strategies

from fuzz import checks, mutations
from youtube8m_distill import config
from youtube8m_distill.config import FORMAT
from youtube8m_distill.errors import BadRecordError

QUICK = settings(max_examples=60, deadline=None)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("fuzz")


def mutants(seeds, mutate, count, seed):
    """Seeds mutated repeatedly, each also with a few random bytes changed."""
    chance, found = random.Random(seed), list(seeds)
    while len(found) < count:
        changed = mutate(chance.choice(found), chance)
        found.append(changed)
        if isinstance(changed, bytes) and changed:
            place = chance.randrange(min(len(changed), 200))
            found.append(changed[:place] + chance.randbytes(1) + changed[place + chance.randrange(3) :])
    return found


# ---- records ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("parser", ["all", "uniform", "means"])
def test_every_record_is_read_as_protocol_buffers_read_it_or_refused(parser):
    check = checks.RecordCheck(checks.PARSERS[parser])
    for serialized in mutants(mutations.some_records(), mutations.mutate_record, 120, seed=len(parser)):
        check(serialized)
    check.flush()


@pytest.mark.parametrize("name", ["uniform", "means"])
def test_the_reader_without_tensorflow_reads_the_same_or_refuses(name, tmp_path):
    parser, seeds = dataclasses.replace(checks.PARSERS[name], with_labels=False), mutations.some_records()
    good = next(seed for seed in seeds if is_valid(seed, parser))
    for serialized in mutants(seeds, mutations.mutate_record, 60, seed=1):
        checks.check_plain(serialized, parser, good, str(tmp_path / "records"))


def is_valid(serialized, parser):
    try:
        return bool(checks.RecordCheck(parser).parse([serialized]))
    except BadRecordError:
        return False


def test_the_check_notices_wrong_results():
    check = checks.RecordCheck(checks.PARSERS["uniform"], together=1)
    good = mutations.some_records()[1]
    check(good)
    for other in mutations.some_records()[:3:2]:
        with pytest.raises(AssertionError, match=" instead of "):
            check._assert_read([(good, checks.read_by_hand(other, check.parser))])
    with pytest.raises(AssertionError, match=r"accepted, although it should be refused \(bad\)"):
        check._assert_refused([good], "bad")
    with pytest.raises(AssertionError, match="refused, although it is valid"):
        check._assert_read([(mutations.some_records()[5], checks.read_by_hand(good, check.parser))])


# ---- configurations --------------------------------------------------------------------------------------------------

NAMES = [
    name
    for kind in (config.RunConfig, config.NetworkConfig, config.TrainingConfig, *config.FAMILY_OF.values())
    for name in kind.model_fields
]
VALUES = strategies.recursive(
    strategies.none() | strategies.booleans() | strategies.floats() | strategies.integers() | strategies.text(),
    lambda inner: strategies.lists(inner) | strategies.dictionaries(strategies.sampled_from(NAMES), inner),
)


@QUICK
@given(
    strategies.text()
    | VALUES.map(json.dumps)
    | strategies.dictionaries(strategies.sampled_from(NAMES), VALUES).map(
        lambda values: json.dumps({"format": FORMAT, **values})
    )
)
def test_any_text_is_a_configuration_or_refused(text):
    checks.check_config(text)


def test_mutated_configurations_are_restored_from_their_own_json_or_refused():
    for text in mutants(mutations.some_configs(), mutations.mutate_config, 300, seed=1):
        checks.check_config(text)


# ---- CSV -------------------------------------------------------------------------------------------------------------

IDS = strategies.binary(max_size=12) | strategies.text("=+-@\t\r\n,;\"' \0abcé＝", max_size=6).map(str.encode)


@strategies.composite
def predictions(draw):
    k = draw(strategies.integers(1, 4))
    batches = []
    for ids in draw(strategies.lists(strategies.lists(IDS, max_size=4), max_size=3)):
        rows = [draw(strategies.tuples(*[strategies.integers(0, 2**31 - 1)] * k)) for _ in ids]
        scores = [draw(strategies.lists(strategies.floats(0, 1, width=32), min_size=k, max_size=k)) for _ in ids]
        batches.append(mutations.batch(ids, rows, [sorted(row, reverse=True) for row in scores], k))
    return batches


@QUICK
@given(batches=predictions())
def test_rows_come_back_from_the_csv_or_are_refused(folder, batches):
    checks.check_csv(folder, batches)


def test_the_check_notices_a_changed_csv(folder, monkeypatch):
    batches = [mutations.batch([b"a"], [[1]], [[0.5]], 1)]
    checks.check_csv(folder, batches)
    monkeypatch.setattr(
        checks.kaggle,
        "write_predictions",
        lambda path, rows: path.write_text("VideoId,LabelConfidencePairs\na,1 0.6\n") and 1,
    )
    with pytest.raises(AssertionError):
        checks.check_csv(folder, batches)


# ---- archives --------------------------------------------------------------------------------------------------------


def test_changed_archives_are_runs_or_refused(tmp_path):
    for content in mutants(mutations.some_archives(), mutations.mutate_archive, 120, seed=2):
        checks.check_archive(tmp_path, content)


# ---- the mutations themselves ----------------------------------------------------------------------------------------


def test_most_mutations_change_the_input():
    chance = random.Random(0)
    for seeds, mutate in (
        (mutations.some_records(), mutations.mutate_record),
        (mutations.some_configs(), mutations.mutate_config),
        (mutations.some_archives(), mutations.mutate_archive),
    ):
        changed = [mutate(seed, chance) != seed for seed in seeds for _ in range(20)]
        assert np.mean(changed) > 0.7

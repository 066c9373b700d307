"""The run configuration of each trial on segments equals the one of its command."""

import shlex

import numpy as np
import pytest

from reproduce import segment_settings
from reproduce.segment_settings import SegmentSettings
from reproduce.segment_trials import DBOF, FINETUNED, LARGE, MIX, MIX_LARGE, MOD, NEXTVLAD, PRETRAINED, SCRATCH, SegmentTrial
from reproduce.settings import check_settings, digest, run_folder, write_settings
from tests import commands
from tests.reproduce.made_up_segments import write_segments
from youtube8m_distill import config
from youtube8m_distill.cli import run_config
from youtube8m_distill.errors import SettingError

TINY = {
    "dbof_cluster_size": 4,
    "dbof_hidden_size": 4,
    "nextvlad_cluster_size": 4,
    "nextvlad_hidden_size": 8,
    "groups": 2,
    "expansion": 2,
    "gating_reduction": 4,
}
KINDS = [
    SegmentTrial(DBOF, SCRATCH, seed=1),
    SegmentTrial(NEXTVLAD, PRETRAINED),
    SegmentTrial(NEXTVLAD, SCRATCH),
    SegmentTrial(NEXTVLAD, FINETUNED),
    SegmentTrial(LARGE, PRETRAINED),
    SegmentTrial(MIX, PRETRAINED),
    SegmentTrial(MIX, FINETUNED, 0.0),
    SegmentTrial(MIX, FINETUNED, 10.0, seed=2),
    SegmentTrial(MIX_LARGE, FINETUNED, 20.0),
    SegmentTrial(MOD, FINETUNED, 20.0),
]


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return write_segments(tmp_path_factory.mktemp("segments"))


@pytest.fixture
def settings(data):
    return SegmentSettings(
        train_data_pattern=f"{data}/train*.tfrecord",
        finetune_data_pattern=f"{data}/validate0.tfrecord",
        eval_data_pattern=f"{data}/validate1.tfrecord",
        features=config.FeatureConfig(names=("rgb", "audio"), sizes=(6, 3)),
        num_classes=commands.NUM_CLASSES,
        network={**TINY, "dropout": 0.25},
        training={
            "batch_size": 4,
            "num_epochs": 3,
            "finetune_epochs": 9,
            "base_learning_rate": 0.01,
            "optimizer": "AdagradOptimizer",
        },
        finetuning={"batch_size": 8, "num_epochs": 2, "base_learning_rate": 0.02, "l2_penalty": 0.5},
    )


def published():
    """Settings of the paper's sizes and schedules."""
    return SegmentSettings(train_data_pattern="a*", finetune_data_pattern="b*", eval_data_pattern="c*", num_classes=1000)


def by_command(trial, settings, folder):
    """The RunConfig that `yt8m train` makes of a trial's command."""
    program, subcommand, *arguments = shlex.split(segment_settings.command(trial, settings, folder))
    assert (program, subcommand) == ("yt8m", "train")
    with commands.parsed("train", *arguments):
        run_config.check_flags()
        return run_config.from_flags()[0]


@pytest.mark.parametrize("trial", KINDS, ids=lambda trial: trial.name)
def test_the_command_of_a_trial_gives_its_configuration(tmp_path, settings, trial):
    if trial.prerequisite:
        network = segment_settings.run_config(trial.prerequisite, settings, tmp_path).networks["teacher"]
        commands.save_run(run_folder(tmp_path, trial.prerequisite), network)
    assert by_command(trial, settings, tmp_path) == segment_settings.run_config(trial, settings, tmp_path)


def test_eigenvalues_are_read_once_and_come_with_the_pretrained_weights(tmp_path, settings):
    path = tmp_path / "eigenvals.npy"
    np.save(path, np.linspace(14, 1, 6))
    settings = settings.replace(pca_eigenvalues=str(path))
    pretrained, finetuned, scratch, dbof = (
        segment_settings.run_config(trial, settings, tmp_path) for trial in (KINDS[1], KINDS[3], KINDS[2], KINDS[0])
    )
    assert pretrained.pca_eigenvalues == scratch.pca_eigenvalues == str(path)
    assert finetuned.pca_eigenvalues == dbof.pca_eigenvalues == ""
    assert finetuned.networks["teacher"].settings()["reverse_whitening"]
    commands.save_run(run_folder(tmp_path, KINDS[1]), pretrained.networks["teacher"])
    for trial in KINDS[:4]:
        assert by_command(trial, settings, tmp_path) == segment_settings.run_config(trial, settings, tmp_path), trial.name


def test_values_for_videos_and_for_segments_are_separate(settings, tmp_path):
    pretrained, finetuned = (segment_settings.run_config(trial, settings, tmp_path) for trial in (KINDS[1], KINDS[3]))
    ours = [config.networks["teacher"].settings() for config in (pretrained, finetuned)]
    assert [values["dropout"] for values in ours] == [0.25, 0.75]
    assert [values["l2_penalty"] for values in ours] == [1e-5, 0.5]
    found = [(c.training.batch_size, c.training.num_epochs, c.training.base_learning_rate) for c in (pretrained, finetuned)]
    assert found == [(4, 3, 0.01), (8, 2, 0.02)]
    assert finetuned.training.optimizer == pretrained.training.optimizer == "AdagradOptimizer"
    assert (pretrained.train_data_pattern, finetuned.train_data_pattern) == (
        settings.train_data_pattern,
        settings.finetune_data_pattern,
    )
    assert finetuned.reading.segment_labels and not pretrained.reading.segment_labels


def test_published_sizes_and_schedules_are_those_of_the_paper():
    """MOD 2019, Table 1 and section 4.2."""

    def of(*values):
        return segment_settings.run_config(SegmentTrial(*values), published(), "folder")

    plain, large, dbof = of(NEXTVLAD, FINETUNED), of(LARGE, FINETUNED), of(DBOF, SCRATCH)
    sizes = ("groups", "nextvlad_cluster_size", "expansion", "nextvlad_hidden_size")
    found = [[run.networks["teacher"].settings()[name] for name in sizes] for run in (plain, large)]
    assert found == [[8, 128, 2, 2048], [8, 256, 4, 2048]]
    starter = dbof.networks["teacher"].settings()
    assert (starter["dbof_cluster_size"], starter["dbof_hidden_size"], starter["moe_num_mixtures"]) == (2048, 1024, 5)
    for run in (plain, large, dbof):
        training = run.training
        assert (training.batch_size, training.num_epochs, training.base_learning_rate) == (512, 10, 0.0002)
        assert (training.learning_rate_decay, training.learning_rate_decay_examples) == (0.8, 1_000_000)
    assert of(NEXTVLAD, PRETRAINED).training.batch_size == 80
    mixtures = of(MIX_LARGE, FINETUNED, 20.0), of(MOD, FINETUNED, 20.0), of(MIX, PRETRAINED)
    assert [run.networks["teacher"].settings()["cl_temperature"] for run in mixtures] == [20.0, 20.0, 1.0]
    assert [run.networks["teacher"].settings()["mix_number"] for run in mixtures] == [4, 3, 3]
    assert mixtures[0].networks["teacher"].settings()["expansion"] == 4


def test_an_experiment_is_resumed_only_with_the_same_fine_tuning(settings, tmp_path):
    write_settings(settings, tmp_path)
    check_settings(settings.replace(finetune_data_pattern="elsewhere"), tmp_path)
    other = settings.replace(finetuning={"batch_size": 9})
    assert digest(other) != digest(settings)
    with pytest.raises(SettingError, match=r"batch_size \(8 there, 9 here\)"):
        check_settings(other, tmp_path)

import pytest

from tests import commands
from youtube8m_distill import config, runs

FEATURES = config.FeatureConfig(("rgb", "audio"), (6, 3))


def shards_of(folder, name, videos):
    pattern = commands.write_files(folder, name, videos)
    return runs.find_shards(f"{name}_data_pattern", pattern, FEATURES)


def refuse(**sets):
    runs.check_sets({f"{name}_data_pattern": shards for name, shards in sets.items()}, FEATURES, commands.NUM_CLASSES)


def test_sets_without_a_common_video_pass(tmp_path):
    videos = commands.frame_videos(12)
    refuse(
        train=shards_of(tmp_path, "train", videos[:5]),
        validation=shards_of(tmp_path, "validation", videos[5:8]),
        eval=shards_of(tmp_path, "eval", videos[8:]),
    )


@pytest.mark.parametrize("earlier, position", [("train", 0), pytest.param("validation", 3, marks=pytest.mark.slow)])
def test_a_video_of_two_sets_is_named_with_both(tmp_path, earlier, position):
    videos = commands.frame_videos(12)
    sets = {"train": videos[:4], "validation": videos[4:8], "eval": videos[8:]}
    sets["eval"][position] = sets[earlier][-1]
    name = commands.video_id(3 if earlier == "train" else 7).decode()
    with pytest.raises(
        ValueError,
        match=rf"eval_data_pattern=.*eval{position // 2}.tfrecord holds the video '{name}', and "
        rf"so does a file of --{earlier}_data_pattern",
    ):
        refuse(**{name: shards_of(tmp_path, name, found) for name, found in sets.items()})


@pytest.mark.parametrize("unlabeled", ["train", "eval"])
def test_a_set_without_labels_is_refused(tmp_path, unlabeled):
    sets = {"train": commands.frame_videos(8)[:4], "eval": commands.frame_videos(8)[4:]}
    sets[unlabeled] = commands.frame_videos(8, labels=False)[slice(*{"train": (0, 4), "eval": (4, 8)}[unlabeled])]
    with pytest.raises(ValueError, match=rf"{unlabeled}_data_pattern: .*, hold no labels"):
        refuse(**{name: shards_of(tmp_path, name, found) for name, found in sets.items()})

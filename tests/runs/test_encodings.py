import numpy as np
import pytest

from tests import commands, networks
from youtube8m_distill import config, runs
from youtube8m_distill.engine.strategy import make_strategy

NETWORK = networks.frame_level(view=config.FrameView(frame_selection="first", frames_per_video=4), dropout=0.5)


@pytest.mark.parametrize("max_videos", [3, pytest.param(100, marks=pytest.mark.slow)])
def test_encodings_are_those_of_the_first_videos_without_dropout(tmp_path, monkeypatch, max_videos):
    commands.use_quick_encoder(monkeypatch)
    run = commands.save_run(tmp_path / "run", NETWORK)
    shards = runs.find_shards(
        "eval", commands.write_files(tmp_path / "data", "eval", commands.frame_videos(7)), NETWORK.features
    )
    loaded = runs.LoadedNetwork(run, make_strategy())
    found = runs.read_encodings(loaded, shards, max_videos)
    ((ids, batch, labels),) = commands.batches_by_hand(shards, 4, batch_size=7)
    size = min(max_videos, 7)
    assert [video_id.decode() for video_id in found.video_ids] == ids[:size]
    np.testing.assert_array_equal(found.labels, labels[:size])
    np.testing.assert_allclose(found.encodings, networks.outputs(loaded.network, batch)["encoding"][:size], rtol=1e-6)

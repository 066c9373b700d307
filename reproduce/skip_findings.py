"""Findings of the slides about SkipFrame. They continue the list in `findings`, with the measures and verdicts of its rules.

Noise. s is the pooled sample standard deviation over seeds of the SkipFrames alone, which vary more than networks whose
frames are given.

All comparisons are at the k and the skips of the grid.

11. SkipFrame with the reward GAP is above Uniform.
12. It is above every SkipFrame with another reward.
13. With the delayed reward, a SkipFrame is above the one with the immediate reward and the same skips. The slides have 0.755
    and 0.738, and 0.742 and 0.739.
14. Every SkipFrame is above Random, First, Middle, and Last. The lowest SkipFrame is compared with the highest of these
    four.
15. Not in the slides: SkipFrame with the reward GAP is above the same network on the frames of Uniform. Uniform is an H-RNN,
    so rule 11 compares more than the choice of frames.

Whether the frames are close to evenly spaced ones is judged by `recipes.skipframe`, since it is not a difference of scores.
"""

from reproduce.recipes.skipframe import BASELINES, VARIANTS, skip_frame, title_of
from reproduce.trials import HRNN, SKIP_NETWORK, SKIPFRAME, Trial
from reproduce.verdicts import is_above

NOISE = "SkipFrame"
SOURCE = "slides of CVPR 2019, Experiments: Rewards"


def gives_noise(trial) -> bool:
    """Whether s is computed from the seeds of this trial."""
    return trial.method == SKIPFRAME


def _above_uniform(scores, grid):
    best = skip_frame(grid, "gap")
    yield _ordered(scores, best, Trial(HRNN, "uniform", best.k))


def _gap_is_the_best_reward(scores, grid):
    best = skip_frame(grid, "gap")
    for reward, is_sparse in VARIANTS:
        if reward != best.reward:
            yield _ordered(scores, best, skip_frame(grid, reward, is_sparse))


def _delayed_above_immediate(scores, grid):
    for is_sparse in (False, True):
        yield _ordered(scores, *(skip_frame(grid, reward, is_sparse) for reward in ("delayed", "immediate")))


def _above_other_baselines(scores, grid):
    skipping = [skip_frame(grid, *variant) for variant in VARIANTS]
    others = [Trial(HRNN, method, skipping[0].k) for method in BASELINES if method != "uniform"]
    lowest = min(filter(scores.has, skipping), key=scores.mean, default=skipping[0])
    highest = max(filter(scores.has, others), key=scores.mean, default=others[0])
    yield _ordered(scores, lowest, highest)


def _above_the_same_network(scores, grid):
    best = skip_frame(grid, "gap")
    yield _ordered(scores, best, Trial(SKIP_NETWORK, "uniform", best.k))


def _ordered(scores, above, below):
    return scores.compare(f"k={above.k} {title_of(above)} − {title_of(below)}", (above,), (below,), is_above)


# As findings._FINDINGS.
FINDINGS = (
    ("SkipFrame with the reward GAP is better than Uniform-k.", SOURCE, "skipframe", _above_uniform, None),
    ("GAP is the best reward of SkipFrame.", SOURCE, "skipframe", _gap_is_the_best_reward, None),
    ("SkipFrame's delayed reward is better than the immediate one.", SOURCE, "skipframe", _delayed_above_immediate, None),
    (
        "Every SkipFrame is better than Random-k, First-k, Middle-k, and Last-k.",
        SOURCE,
        "skipframe",
        _above_other_baselines,
        None,
    ),
    (
        "SkipFrame with the reward GAP is better than the same network on evenly spaced frames.",
        "not in the slides",
        "skipframe",
        _above_the_same_network,
        None,
    ),
)

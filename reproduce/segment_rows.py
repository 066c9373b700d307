"""The rows of the MOD paper's tables: the network that each row scores, and what the paper claims about it."""

from typing import NamedTuple

from reproduce.published import MOD_TABLE1, MOD_TABLE2, SegmentScores
from reproduce.segment_trials import (
    DBOF,
    EXTRACTED,
    FINETUNED,
    LARGE,
    MIX,
    MIX_LARGE,
    MOD,
    NETWORKS,
    NEXTVLAD,
    PRETRAINED,
    SCRATCH,
    SegmentTrial,
)
from youtube8m_distill import schema


class Claim(NamedTuple):
    """What the paper claims about a row: that it is above another one, or that the two are about the same."""

    reference: str  # title of the other row
    is_similar: bool = False


class SegmentRow(NamedTuple):
    """A row of a table."""

    section: str
    title: str
    trial: SegmentTrial
    paper: SegmentScores
    claim: Claim | None = None
    role: str = schema.TEACHER

    @property
    def num_base(self) -> int:
        """The number of base networks that are used at inference."""
        return 1 if self.role == EXTRACTED else NETWORKS[self.trial.network].num_base


def _rows(papers, *rows):
    """SegmentRows from the paper's numbers by title, and from section, trial, claim, and role of each row."""
    return tuple(
        SegmentRow(section, title, trial, paper, claim, *role)
        for (title, paper), (section, trial, claim, *role) in zip(papers.items(), rows, strict=True)
    )


VIDEOS_ONLY, SEGMENTS_ONLY, BOTH = "Without fine-tuning", "Without pretraining", "Pretrained and fine-tuned"
ONE_LAYER, TWO_LAYERS = "One-layer mixture", "Two-layer mixture"
TABLE1 = _rows(
    MOD_TABLE1,
    (VIDEOS_ONLY, SegmentTrial(NEXTVLAD, PRETRAINED), None),
    (SEGMENTS_ONLY, SegmentTrial(DBOF, SCRATCH), Claim("Dummy prediction")),
    (SEGMENTS_ONLY, SegmentTrial(NEXTVLAD, SCRATCH), Claim("DBoF Baseline")),
    (BOTH, SegmentTrial(NEXTVLAD, FINETUNED), Claim("NeXtVLAD, no pretraining")),
    (BOTH, SegmentTrial(LARGE, FINETUNED), Claim("NeXtVLAD")),
    (BOTH, SegmentTrial(MOD, FINETUNED, 20.0), Claim("NeXtVLAD_large"), EXTRACTED),
)
TABLE2 = _rows(
    MOD_TABLE2,
    (ONE_LAYER, SegmentTrial(MIX, FINETUNED, 0.0), Claim("NeXtVLAD_large", is_similar=True)),
    (ONE_LAYER, SegmentTrial(MIX, FINETUNED, 1.0), Claim("MixNeXtVLAD (T=0)")),
    (ONE_LAYER, SegmentTrial(MIX, FINETUNED, 10.0), Claim("MixNeXtVLAD (T=1)")),
    (ONE_LAYER, SegmentTrial(MIX, FINETUNED, 20.0), Claim("MixNeXtVLAD (T=10)")),
    (ONE_LAYER, SegmentTrial(MIX_LARGE, FINETUNED, 20.0), Claim("MixNeXtVLAD (T=20)")),
    (TWO_LAYERS, SegmentTrial(MOD, FINETUNED, 20.0), Claim("MixNeXtVLAD_large (T=20)")),
)
ROWS = {row.title: row for row in (*TABLE1, *TABLE2)}
# (better, worse): what the text of the paper states beyond neighboring rows.
ALSO_ABOVE = (
    ("NeXtVLAD", "Dummy prediction"),
    ("NeXtVLAD_distill", "NeXtVLAD"),
    ("MixNeXtVLAD (T=20)", "MixNeXtVLAD (T=0)"),
    ("MODNeXtVLAD (T=20)", "MixNeXtVLAD (T=20)"),
)

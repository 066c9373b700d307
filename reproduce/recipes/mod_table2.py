"""MOD, Table 2: does online distillation help a mixture that is fine-tuned on rated segments?

    python -m reproduce mod_table2 --data=yt8m/segments --output_dir=mod

Compares mixtures of three NeXtVLADs with T = 0 (no distillation), 1, 10, and 20, a mixture of four larger networks, and a
mixture of four mixtures (MOD). All mixtures are pretrained on videos with T = 1, as in the paper's release, and fine-tuned
with the T of the row. A column that is not in the paper scores one network of each mixture alone.

Paper (MOD 2019, Table 2): each row is above the one before it, from 0.808 to 0.825.

Cost: 9 trainings, 3 of them on whole videos. Two are of 12 networks each, and are also in Table 1. The first row is compared
with the larger NeXtVLAD of Table 1.
"""

from reproduce.segment_rows import TABLE2
from reproduce.segment_tables import segment_table

TITLE = "MOD, Table 2: mixtures"
QUESTION = "Does online distillation help a mixture that is fine-tuned on rated segments?"
EXPECTED = (
    "On the private leaderboard, MixNeXtVLAD has 0.808 with T=0, 0.811 with T=1, 0.816 with T=10, and 0.820 with T=20. A "
    "mixture of four larger networks has 0.823, and MODNeXtVLAD 0.825."
)


def plan(grid):
    return [row.trial for row in TABLE2]


def outputs(results, grid):
    return segment_table("mod_table2", TITLE, TABLE2, results, with_extracted=True)

"""MOD, Table 1: does a network that is fine-tuned on rated segments find the segments that show a class?

    python -m reproduce mod_table1 --data=yt8m/segments --output_dir=mod

Compares a network of whole videos (dummy prediction), networks that are trained on segments alone, networks that are trained
on videos and fine-tuned on segments, and one NeXtVLAD out of a MOD. The paper's numbers are from the leaderboards of the
YouTube-8M challenge of 2019; ours are on rated segments of held-out videos.

Paper (MOD 2019, Table 1): each row is above the one before it, from 0.648 to 0.815.

Cost: 8 trainings, 3 of them on whole videos. Two are of 12 networks each.
"""

from reproduce.segment_rows import TABLE1
from reproduce.segment_tables import segment_table

TITLE = "MOD, Table 1: single models"
QUESTION = "Does a network that is fine-tuned on rated segments find the segments that show a class?"
EXPECTED = (
    "On the private leaderboard, the dummy prediction has 0.648, DBoF 0.699, NeXtVLAD 0.770 without and 0.796 with "
    "pretraining, a larger NeXtVLAD 0.806, and one NeXtVLAD out of a MOD 0.815."
)


def plan(grid):
    return [row.trial for row in TABLE1]


def outputs(results, grid):
    return segment_table("mod_table1", TITLE, TABLE1, results)

"""One module per table or figure, with its question, the trials that answer it, and the outputs that show the answer.

A recipe has

- TITLE, QUESTION, EXPECTED: strings for the report;
- plan(grid): list of Trial, or of SegmentTrial, with seed 0;
- outputs(results, grid): list of tables.Table and figures.Figure made from the finished trials; [] if there are none;
- optionally timing(grid): trials of one family whose speeds are measured together;
- optionally encodings(grid): serial trials whose encodings are compared with those of their teachers;
- optionally frame_choices(grid): trials of which the report shows the frames that they read.
"""

from reproduce.recipes import (
    best,
    classes,
    cost,
    figure2,
    figure3,
    mod_figures34,
    mod_table1,
    mod_table2,
    skipframe,
    table1,
    table2,
    table3,
    table4,
    table5,
    table6,
)

# On frames of whole videos (CVPR 2019), in the order of the report.
RECIPES = {
    "table1": table1,
    "figure2": figure2,
    "table2": table2,
    "table3": table3,
    "table4": table4,
    "table5": table5,
    "table6": table6,
    "skipframe": skipframe,
    "best": best,
    "figure3": figure3,
    "cost": cost,
    "classes": classes,
}
# On rated segments (MOD 2019).
SEGMENT_RECIPES = {"mod_table1": mod_table1, "mod_table2": mod_table2, "mod_figures34": mod_figures34}
EVERY_RECIPE = {**RECIPES, **SEGMENT_RECIPES}

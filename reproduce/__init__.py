"""Reproduces the tables, figures, and findings of the papers.

`recipes/` contains one short module per table or figure. `trials` and `grid` define what is trained, `worker` trains it, and
`results` stores the results as plain files, from which everything else is computed. The modules `segment_*` are for the MOD
paper, whose networks are trained and scored on rated segments; `experiments` lists what differs.
"""

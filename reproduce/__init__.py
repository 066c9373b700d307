"""Reproduces the tables, figures, and findings of the papers.

`recipes/` holds one short file per table or figure. `trials` and `grid` define what is trained, `worker` trains it, and
`results` stores the outcome as plain files, from which everything else is computed.
"""

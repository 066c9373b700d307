"""The papers' experiments: which trainings they take, and the tables, figures and findings that come of them.

`recipes/` has one short file for each table and figure; `cells` and `grid` say what is trained, `worker` trains it,
`results` keeps what came out as plain files, and the rest reads those alone.
"""

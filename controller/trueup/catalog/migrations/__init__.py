"""Alembic's folder: one file a change of schema in `versions/`, never edited once released.

`trueup.catalog.migrate` runs them; `python -m trueup.catalog.migrations NAME` (`make migration NAME=…`) writes the next.
"""

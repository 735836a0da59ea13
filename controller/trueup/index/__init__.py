"""The index: searchable projections of the catalog, one adapter a file, and what all adapters share.

Nothing here decides what is true: an index may lose, repeat or invent points, and only recall may suffer.
"""

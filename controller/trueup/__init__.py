"""Trueup keeps a vector index true to its sources."""

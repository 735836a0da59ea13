"""Bytes to text to chunks to verdicts to vectors. Knows nothing of sources, the catalog or the index.

What parses a foreign format runs in a child process; what is pure (`prepare` and all it calls) stays free of I/O.
"""

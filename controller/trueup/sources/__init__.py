"""One connector a source type, each the only importer of its client library, and the table that opens them.

Connectors list, read and hint; they decide nothing, keep no truth and import no room of ours but the ports and nouns.
"""

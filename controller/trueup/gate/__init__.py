"""The only way out: identity, scope, search, verify, pack, record. `retrieve.py` reads top to bottom.

Nothing here talks HTTP, looks at a source itself, or changes what is true.
"""

"""The nouns of Trueup and its resources: frozen values and pydantic models.

Nothing here does I/O, reads a clock or imports another package of ours.
"""

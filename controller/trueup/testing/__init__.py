"""In-memory twins of the ports, fault injectors and conformance suites, shipped for the authors of connectors.

Nothing outside tests imports this; the suites need pytest, the rest does not.
"""

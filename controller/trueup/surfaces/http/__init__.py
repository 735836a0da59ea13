"""HTTP: requests into calls of the gate, and what comes of them into answers. Nothing is decided here but who may come in.

The only importers of FastAPI, Starlette and prometheus-client.
"""

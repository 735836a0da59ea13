"""The controller: look, load, settle, sweep, report, and the cadence and hints that make sources due.

Knows the ports and the catalog, and no client library but the scheduler's; nothing here serves a request.
"""

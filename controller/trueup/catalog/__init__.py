"""The transactional truth: tables, the writer, the hot statements, migrations and the audit log.

Truth changes only in `reconciling.apply` and `reconciling.publish`. No network, no source, no index is touched here.
"""

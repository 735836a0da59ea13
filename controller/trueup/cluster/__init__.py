"""What speaks to the Kubernetes API server: one small client for everybody, and the only importer of `kubernetes`.

Requests and answers are plain JSON. Nothing here knows what a ContextSource means.
"""

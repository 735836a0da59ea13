"""Tests against a real API server: kubectl, the operator and the gate as processes, each under its own service account."""

"""A real Kubernetes control plane for the tests: built once, started on loopback, gone with the test run.

Here lives what builds, starts and speaks to it; what is tested with it lives in `tests/cluster`.
"""

from tests.controlplane.build import Parts, parts
from tests.controlplane.cluster import ControlPlane, KubectlError

__all__ = ["ControlPlane", "KubectlError", "Parts", "parts"]

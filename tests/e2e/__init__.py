"""The main job with pods as they ship, on any cluster with a node: `make e2e KUBECONFIG=… IMAGE=…`.

No part of `make test`, which has no node; `tests/cluster/test_e2e.py` runs the same course there with a process in place of the pod.
"""

"""The tests, and the real parts that they run against: a Kubernetes control plane and PostgreSQL."""

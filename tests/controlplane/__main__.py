"""Build the control plane, or find it built, and say where it is."""

from tests.controlplane import parts

print(parts().apiserver.parent)

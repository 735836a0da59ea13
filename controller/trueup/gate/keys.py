"""The installation's own keys, in `home/keys`: made when first needed, by whichever process comes first."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import hmac
import os
import secrets
from dataclasses import dataclass, field
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from trueup.errors import TrueupError

_BYTES = 32


class KeysUnusable(TrueupError):
    """The keys in {folder} cannot be used: {why}."""

    reason = "KeysUnusable"


@dataclass(frozen=True, slots=True)
class SigningKey:
    """An Ed25519 key pair with the name that tells verifiers which one it is (RFC 7638 thumbprint)."""

    private: Ed25519PrivateKey = field(repr=False)
    kid: str

    @property
    def public(self) -> Ed25519PublicKey:
        """The half that may be known."""
        return self.private.public_key()

    @property
    def jwk(self) -> dict[str, str]:
        """The public half as a JSON Web Key (RFC 8037)."""
        return {"kty": "OKP", "crv": "Ed25519", "x": _x(self.public), "kid": self.kid, "use": "sig", "alg": "EdDSA"}


@dataclass(frozen=True, slots=True)
class Keys:
    """Every key of an installation; each serves one purpose, so that nothing signed for one passes for another.

    Attributes:
        token: signs local tokens. receipt: signs receipts. checkpoint: signs the heads of the audit chains.
        digest: keys the digests of queries and principals. hook: the master of every source's hook secret.
    """

    token: SigningKey
    receipt: SigningKey
    checkpoint: SigningKey
    digest: bytes = field(repr=False)
    hook: bytes = field(repr=False)

    @classmethod
    def load(cls, folder: Path) -> Keys:
        """The keys in `folder`, made there if they are not yet.

        Raises:
            KeysUnusable: the folder cannot be written or a key in it is broken.
        """
        try:
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            made = {name: _obtain(folder / name) for name in ("token", "receipt", "checkpoint", "digest", "hook")}
        except OSError as error:
            raise KeysUnusable(folder=folder, why=error.strerror or type(error).__name__) from error
        if any(len(key) != _BYTES for key in made.values()):
            raise KeysUnusable(folder=folder, why=f"one of them has not {_BYTES} bytes; restore it from a backup, or remove it to void what it signed")
        return cls(_signing(made["token"]), _signing(made["receipt"]), _signing(made["checkpoint"]), made["digest"], made["hook"])

    def keyed(self, text: str) -> str:
        """A digest of `text` that nobody without the key can test a guess against: `hmac-sha256:hex`."""
        return "hmac-sha256:" + hmac.new(self.digest, text.encode(), hashlib.sha256).hexdigest()

    def hook_secret(self, namespace: str, name: str) -> str:
        """The secret that signs hook calls for the source `namespace/name`."""
        return hmac.new(self.hook, f"{namespace}/{name}".encode(), hashlib.sha256).hexdigest()


def _obtain(path: Path) -> bytes:
    """The key at `path`. Two processes may come at once: a link fails where the file is there already, so both read the same."""
    with contextlib.suppress(FileNotFoundError):
        return path.read_bytes()
    draft = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    handle = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(secrets.token_bytes(_BYTES))
            file.flush()
            os.fsync(file.fileno())
        with contextlib.suppress(FileExistsError):
            os.link(draft, path)
    finally:
        draft.unlink()
    return path.read_bytes()


def _signing(raw: bytes) -> SigningKey:
    private = Ed25519PrivateKey.from_private_bytes(raw)
    canonical = f'{{"crv":"Ed25519","kty":"OKP","x":"{_x(private.public_key())}"}}'
    return SigningKey(private, _base64url(hashlib.sha256(canonical.encode()).digest()))


def _x(public: Ed25519PublicKey) -> str:
    return _base64url(public.public_bytes(Encoding.Raw, PublicFormat.Raw))


def _base64url(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).decode().rstrip("=")

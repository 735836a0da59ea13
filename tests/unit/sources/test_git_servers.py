"""What servers do to the Git connector: fail, stall, lie, redirect, and send bombs."""

from __future__ import annotations

import base64
import datetime as dt
import hashlib
import ipaddress
import ssl
import struct
import threading
import time
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from tests.contract.sources.githttp import GitServer, free_port
from tests.unit.sources.repositories import SMALL, Hosted
from trueup.errors import SourceDenied, SourceError, SourceMisconfigured, SourceTimeout, SourceUnavailable
from trueup.sources import network
from trueup.sources.git import bounds
from trueup.testing.source_origin import contents, look


@pytest.fixture
def hosted(tmp_path: Path) -> Iterator[Hosted]:
    with GitServer() as server:
        repository = Hosted(tmp_path, server)
        repository.write("a.md", b"text")
        repository.commit()
        yield repository


def credentials(place: Path, **values: str) -> Path:
    folder = place / "secret"
    folder.mkdir()
    for name, value in values.items():
        (folder / name.replace("_crt", ".crt")).write_text(value)
    return folder


@pytest.mark.parametrize(
    ("status", "error", "says"),
    [
        (401, SourceDenied, "credentials"),
        (403, SourceDenied, "credentials"),
        (404, SourceUnavailable, "404"),
        (500, SourceUnavailable, "500"),
        (429, SourceUnavailable, "429"),
    ],
)
def test_http_answers(hosted: Hosted, status: int, error: type[SourceError], says: str) -> None:
    """Each failing answer is an outage that says what it was (P17)."""
    hosted.server.status = status
    source = hosted.source()
    for call in (source.revision, lambda: look(source), lambda: source.check("a.md", "v"), lambda: source.read("a.md", "v", 1)):
        with pytest.raises(error, match=says):
            call()


def test_nobody_there(hosted: Hosted) -> None:
    """A refused connection and a name that does not resolve are outages."""
    with pytest.raises(SourceUnavailable, match="refuses connections"):
        hosted.source(f"http://127.0.0.1:{free_port()}/repo.git").revision()
    with pytest.raises(SourceUnavailable, match="resolved"):
        hosted.source("https://no-such-host.invalid/repo.git").revision()


@pytest.mark.parametrize("how", ["stall", "drip"])
def test_a_server_that_takes_its_time_is_left(hosted: Hosted, how: str) -> None:
    """Silence and a byte now and then end at the same deadline."""
    if how == "stall":
        hosted.server.stall = threading.Event()
    else:
        hosted.server.drip = 0.05
    began = time.monotonic()
    with pytest.raises(SourceTimeout, match=r"0\.5 s"):
        look(hosted.source(timeout=0.5))
    assert time.monotonic() - began < 3


def test_half_a_pack_is_no_listing(hosted: Hosted) -> None:
    """A pack that breaks off, wherever, leaves nothing behind and nothing concluded (P24a)."""
    for number in range(20):
        hosted.write(f"{number}.md", hashlib.sha256(bytes(number)).digest() * 9)
    hosted.commit()
    for at in (60, 200, 400):
        hosted.server.truncate = at
        with pytest.raises(SourceUnavailable):
            look(hosted.source())
    hosted.server.truncate = None
    assert len(contents(hosted.source())) == 21
    leftovers = [path for path in (hosted.place / "cache").rglob("*") if path.name.startswith(("tmp", "fetch", "history"))]
    assert leftovers == []


@pytest.mark.parametrize(
    "garble",
    [
        lambda _method, _data: b"",
        lambda _method, _data: b"<html>Sign in</html>",
        lambda _method, data: data[:-7],
        lambda method, data: data.replace(b"PACK", b"JUNK") if method == "POST" else data,
        lambda method, data: data if method == "GET" else b"0000",
        lambda method, data: data if method == "GET" else b"fff0" + b"x" * 100,
        lambda method, data: data if method == "GET" else b"zzzz",
        lambda method, data: data if method == "GET" else b"0001" * 5,
        lambda method, data: data if method == "GET" else data.replace(b"refs/heads/main", b"refs/heads/\xff\xfe\x00"),
    ],
    ids=["nothing", "a page", "cut", "no pack", "flush", "short", "no length", "delimiters", "odd refs"],
)
def test_nonsense_is_an_outage(hosted: Hosted, garble: Callable[[str, bytes], bytes]) -> None:
    """Whatever is answered instead of Git, nothing but a SourceError comes out of it."""
    hosted.server.garble = garble
    with pytest.raises(SourceError):
        look(hosted.source(ref={"branch": "main"}, timeout=2.0))


def test_a_page_with_200_is_told_from_git(hosted: Hosted) -> None:
    """A portal's sign-in page is not taken for the dumb protocol."""
    hosted.server.content_type = "text/html"
    with pytest.raises(SourceUnavailable, match="not as a Git server"):
        look(hosted.source())


def test_too_many_refs(hosted: Hosted) -> None:
    """A list of refs without end is not read to its end."""
    line = b"0044" + b"1" * 40 + b" refs/heads/branch00000\n"
    hosted.server.garble = lambda method, data: data if method == "GET" else line * 5000
    with pytest.raises(SourceUnavailable, match="more bytes"):
        look(hosted.source(bounds=SMALL))


# --- redirects and credentials -------------------------------------------------------------------------------------


def test_credentials_go_to_the_declared_server(hosted: Hosted) -> None:
    """User and password, or a token, from the Secret's files; never from the URL."""
    hosted.server.authorization = "Basic " + base64.b64encode(b"git:s3cret").decode()
    with pytest.raises(SourceDenied) as refused:
        look(hosted.source())
    assert "s3cret" not in str(refused.value)
    assert contents(hosted.source(credentials=credentials(hosted.place, token="s3cret\n"))) == {"a.md": b"text"}


def test_a_redirect_is_followed_without_the_credentials(hosted: Hosted) -> None:
    """A repository may move; its password does not move along to another host."""
    with GitServer() as first:
        first.redirect = hosted.server.url
        assert contents(hosted.source(f"{first.url}/repo.git", credentials=credentials(hosted.place, token="s3cret"))) == {"a.md": b"text"}
        assert all("Authorization" in headers for _, _, headers in first.requests)
    assert hosted.server.requests
    assert not any("Authorization" in headers for _, _, headers in hosted.server.requests)


@pytest.mark.parametrize(
    "target", ["http://169.254.169.254", "http://[::ffff:169.254.169.254]", "file:///etc", "ext::sh", "ssh://host/x", "http://user:pass@127.0.0.1"], ids=str
)
def test_redirects_to_where_no_source_may_be(hosted: Hosted, target: str) -> None:
    """Every redirect is checked as the first address was (A24)."""
    hosted.server.redirect = target
    with pytest.raises((SourceMisconfigured, SourceUnavailable), match=r"metadata|not https|not followed"):
        look(hosted.source())


def test_a_circle_of_redirects_ends(hosted: Hosted) -> None:
    """A server that redirects to itself is an outage."""
    hosted.server.redirect = hosted.server.url
    with pytest.raises(SourceUnavailable, match="circle"):
        look(hosted.source())


def test_loopback_is_no_source_in_a_cluster(hosted: Hosted) -> None:
    """The pod's own loopback is out of bounds, by any name."""
    for host in ("127.0.0.1", "localhost"):
        with pytest.raises(SourceMisconfigured, match="loopback"):
            hosted.source(f"http://{host}:{hosted.server.port}/repo.git", in_cluster=True).revision()


def test_metadata_is_refused_and_nothing_is_sent(hosted: Hosted, monkeypatch: pytest.MonkeyPatch) -> None:
    """A name that resolves to the metadata service is refused before any connection is made."""
    monkeypatch.setattr(network.socket, "create_connection", lambda *_, **__: pytest.fail("it connected"))
    monkeypatch.setattr(network.socket, "getaddrinfo", lambda *_, **__: [(2, 1, 6, "", ("169.254.169.254", 443))])
    for url in ("https://metadata.test/repo.git", "ssh://git@metadata.test/repo.git"):
        with pytest.raises(SourceMisconfigured, match="metadata"):
            hosted.source(url).revision()


# --- TLS -----------------------------------------------------------------------------------------------------------


def certificate(place: Path) -> tuple[Path, str]:
    """A certificate for 127.0.0.1 by an authority of its own: the file for a server, and the authority's text."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "test")])
    now = dt.datetime.now(dt.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - dt.timedelta(days=1))
        .not_valid_after(now + dt.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    text = made.public_bytes(serialization.Encoding.PEM)
    path = place / "server.pem"
    path.write_bytes(key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()) + text)
    return path, text.decode()


def test_tls(tmp_path: Path) -> None:
    """A certificate that nobody vouches for is an outage; with its authority in the Secret the server is read."""
    path, authority = certificate(tmp_path)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(path)
    with GitServer(context) as server:
        hosted = Hosted(tmp_path, server)
        hosted.write("a.md", b"text")
        hosted.commit()
        with pytest.raises(SourceUnavailable, match="TLS"):
            look(hosted.source())
        secret = credentials(tmp_path, ca_crt=authority)
        assert contents(hosted.source(credentials=secret)) == {"a.md": b"text"}
        server.redirect = server.url.replace("https", "http")
        with pytest.raises(SourceMisconfigured, match="not https"):
            look(hosted.source(credentials=secret))


# --- packs ---------------------------------------------------------------------------------------------------------


def number(size: int) -> bytes:
    out = bytearray()
    while size > 0x7F:
        out.append(size & 0x7F | 0x80)
        size >>= 7
    return bytes([*out, size])


def member(kind: int, size: int, body: bytes, extra: bytes = b"") -> bytes:
    head = bytearray([kind << 4 | size & 15])
    size >>= 4
    while size:
        head[-1] |= 0x80
        head.append(size & 0x7F)
        size >>= 7
    return bytes(head) + extra + zlib.compress(body)


def pack(*members: bytes, count: int | None = None) -> bytes:
    body = b"PACK" + struct.pack(">II", 2, len(members) if count is None else count) + b"".join(members)
    return body + hashlib.sha1(body, usedforsecurity=False).digest()


BLOB, REF_DELTA = 3, 7
DELTA = number(100) + number(1 << 30) + b"\x90\x64"

PACKS = {
    "fewer than said": (pack(member(BLOB, 1, b"x"), count=2), "too early|damaged"),
    "more than said": (pack(member(BLOB, 1, b"x"), member(BLOB, 1, b"y"), count=1), "goes on"),
    "a count without end": (pack(count=1 << 31), "more objects"),
    "a large object": (pack(member(BLOB, 1 << 20, b"x" * (1 << 20))), "larger object"),
    "an object that lies small": (pack(member(BLOB, 10, b"x" * (1 << 20))), "larger than it says"),
    "an object that lies large": (pack(member(BLOB, 1000, b"x")), "smaller than it says"),
    "a bomb of many": (pack(*[member(BLOB, 60000, b"\0" * 60000) for _ in range(10)]), "when inflated"),
    "a delta bomb": (pack(member(REF_DELTA, len(DELTA), DELTA, b"\1" * 20)), "larger object"),
    "a delta without sizes": (pack(member(REF_DELTA, 12, b"\xff" * 12, b"\1" * 20)), "without sizes"),
    "an unknown kind": (pack(member(5, 1, b"x")), "no known kind"),
    "no zlib": (pack(bytes([BLOB << 4 | 5]) + b"junk junk junk"), "inflate"),
    "nothing": (pack()[:20], "too early"),
    "another version": (pack().replace(b"\0\0\0\2", b"\0\0\0\3"), "damaged"),
    "a wrong hash": (pack(member(BLOB, 1, b"x"))[:-1] + b"\0", "damaged"),
}


@pytest.mark.parametrize(("data", "says"), PACKS.values(), ids=PACKS)
def test_packs_that_are_refused(tmp_path: Path, data: bytes, says: str) -> None:
    """A pack that lies, or would inflate beyond its bounds, is refused before anything reads it."""
    (tmp_path / "pack").write_bytes(data)
    with (tmp_path / "pack").open("rb") as file, pytest.raises(SourceUnavailable, match=says):
        bounds.audit(file, SMALL)


def test_packs_that_pass(tmp_path: Path) -> None:
    """A pack within its bounds passes, deltas and all."""
    delta = number(100) + number(200) + b"\x90\x64\x90\x64"
    (tmp_path / "pack").write_bytes(pack(member(BLOB, 0, b""), member(BLOB, 70, b"text" * 17 + b"xy"), member(REF_DELTA, len(delta), delta, b"\1" * 20)))
    with (tmp_path / "pack").open("rb") as file:
        bounds.audit(file, SMALL)


def test_a_pack_without_end_is_not_stored(hosted: Hosted) -> None:
    """The bytes of a pack are counted as they come."""
    hosted.write("big.md", b"".join(hashlib.sha256(bytes([at % 256, at // 256])).digest() for at in range(60000)))
    hosted.commit()
    with pytest.raises(SourceUnavailable, match=r"more bytes|larger pack"):
        look(hosted.source(bounds=SMALL))
    assert sum(path.stat().st_size for path in (hosted.place / "cache").rglob("*") if path.is_file()) == 0


def test_a_bomb_from_a_server_is_refused(hosted: Hosted) -> None:
    """A pack that inflates beyond reason is an outage of the source, not of the house."""
    hosted.write("bomb.md", b"\0" * (1 << 19))
    hosted.commit()
    with pytest.raises(SourceUnavailable, match="larger object"):
        look(hosted.source(bounds=SMALL))
    assert "bomb.md" in contents(hosted.source())

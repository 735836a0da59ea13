"""A BERT encoder as an int8 ONNX graph, built from the weights in a safetensors file. Runs once, when a model is installed.

After Devlin et al. 2018 (the encoder) as it is used by Sentence-BERT: token type 0 throughout, no pooler. Query, key and value are
one matrix product, and the scale of the scores is folded into it. The graph has the inputs `input_ids` and `attention_mask`, int64
[batch, tokens], and the output `hidden`, float32 [batch, tokens, size].
"""

from __future__ import annotations

import json
import math
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from onnx import TensorProto, helper, numpy_helper
from onnxruntime.quantization import QuantType, quantize_dynamic

from trueup.errors import EmbeddingError

_OPSET = 17
_MASKED = -10_000.0
_DTYPES = {"F32": "<f4", "F16": "<f2", "I64": "<i8"}
Array = npt.NDArray[Any]


@dataclass(frozen=True, slots=True)
class Shape:
    """The members of a `config.json` that fix the graph."""

    layers: int
    heads: int
    size: int
    epsilon: float

    @staticmethod
    def of(config: dict[str, Any]) -> Shape:
        """Read it.

        Raises:
            EmbeddingError: it is not the kind of encoder that is built here.
        """
        if config.get("model_type") != "bert" or config.get("hidden_act") != "gelu" or config.get("position_embedding_type", "absolute") != "absolute":
            raise EmbeddingError(why="the model is not a BERT encoder with GELU and absolute positions")
        return Shape(config["num_hidden_layers"], config["num_attention_heads"], config["hidden_size"], config["layer_norm_eps"])


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
    """Write the quantized graph to `target`.

    Raises:
        EmbeddingError: a tensor is missing or has another shape.
    """
    prefix = "bert." if "bert.embeddings.word_embeddings.weight" in weights else ""
    plain = target.with_suffix(".fp32.onnx")
    try:
        graph = _Graph({name.removeprefix(prefix): value for name, value in weights.items()})
        model = onnx.shape_inference.infer_shapes(graph.encoder(shape), check_type=True, strict_mode=True)
        helper.set_model_props(model, {"onnx.quant.pre_process": "onnxruntime.quant"})  # shapes are inferred: the quantizer need not warn that they are not
        onnx.save(model, str(plain))
    except (KeyError, ValueError) as error:
        raise EmbeddingError(why="the model's weights do not fit its config.json") from error
    # reduce_range leaves one bit of headroom: without it the sums saturate on processors that have AVX2 but no VNNI.
    quantize_dynamic(
        str(plain), str(target), per_channel=True, reduce_range=True, weight_type=QuantType.QInt8, extra_options={"DefaultTensorType": TensorProto.FLOAT}
    )
    plain.unlink()


class _Graph:
    """Nodes and constants in the making; each method adds an operator and returns the name of its output."""

    def __init__(self, weights: dict[str, Array]) -> None:
        self._weights = weights
        self._nodes: list[Any] = []
        self._constants: dict[str, Any] = {}

    def encoder(self, shape: Shape) -> Any:
        tokens = helper.make_tensor_value_info("input_ids", TensorProto.INT64, ["batch", "tokens"])
        mask = helper.make_tensor_value_info("attention_mask", TensorProto.INT64, ["batch", "tokens"])
        hidden = helper.make_tensor_value_info("hidden", TensorProto.FLOAT, ["batch", "tokens", shape.size])
        state = self._embeddings(shape)
        bias = self._mask()
        for layer in range(shape.layers):
            state = self._layer(f"encoder.layer.{layer}.", state, bias, shape)
        self._nodes.append(helper.make_node("Identity", [state], ["hidden"]))
        graph = helper.make_graph(self._nodes, "encoder", [tokens, mask], [hidden], list(self._constants.values()))
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", _OPSET)], ir_version=9)
        onnx.checker.check_model(model)
        return model

    def _embeddings(self, shape: Shape) -> str:
        weights = self._weights
        words = self._op("Gather", self._constant("words", weights["embeddings.word_embeddings.weight"]), "input_ids")
        # Token type 0 is added to every position once, here.
        places = weights["embeddings.position_embeddings.weight"] + weights["embeddings.token_type_embeddings.weight"][0]
        length = self._op("Gather", self._op("Shape", "input_ids"), self._constant("one", np.array([1], np.int64)))
        zero = self._constant("zero", np.array([0], np.int64))
        seen = self._op("Slice", self._constant("places", places), zero, length, zero)
        return self._norm("embeddings.LayerNorm", self._op("Add", words, seen), shape)

    def _mask(self) -> str:
        real = self._op("Cast", "attention_mask", to=TensorProto.FLOAT)
        hidden = self._op(
            "Mul", self._op("Sub", self._constant("unit", np.array(1, np.float32)), real), self._constant("masked", np.array(_MASKED, np.float32))
        )
        return self._op("Unsqueeze", hidden, self._constant("axes", np.array([1, 2], np.int64)))

    def _layer(self, at: str, state: str, bias: str, shape: Shape) -> str:
        mixed = self._attention(at + "attention.", state, bias, shape)
        state = self._norm(at + "attention.output.LayerNorm", self._op("Add", mixed, state), shape)
        inner = self._gelu(self._linear(at + "intermediate.dense", state))
        return self._norm(at + "output.LayerNorm", self._op("Add", self._linear(at + "output.dense", inner), state), shape)

    def _attention(self, at: str, state: str, bias: str, shape: Shape) -> str:
        width = shape.size // shape.heads
        scale = 1 / math.sqrt(width)
        parts = [
            (self._weights[f"{at}self.{name}.weight"].T * by, self._weights[f"{at}self.{name}.bias"] * by)
            for name, by in (("query", scale), ("key", 1), ("value", 1))
        ]
        joined = self._product(at + "qkv", state, np.concatenate([w for w, _ in parts], 1), np.concatenate([b for _, b in parts]))
        split = self._op("Reshape", joined, self._constant("heads", np.array([0, 0, 3, shape.heads, width], np.int64)))
        turned = self._op("Transpose", split, perm=[2, 0, 3, 1, 4])
        query, key, value = (self._op("Squeeze", part, self._constant("zero", np.array([0], np.int64))) for part in self._split(turned, 3))
        scores = self._op("Add", self._op("MatMul", query, self._op("Transpose", key, perm=[0, 1, 3, 2])), bias)
        seen = self._op("Transpose", self._op("MatMul", self._op("Softmax", scores, axis=-1), value), perm=[0, 2, 1, 3])
        flat = self._op("Reshape", seen, self._constant("flat", np.array([0, 0, shape.size], np.int64)))
        return self._linear(at + "output.dense", flat)

    def _gelu(self, state: str) -> str:
        bent = self._op("Erf", self._op("Div", state, self._constant("root2", np.array(math.sqrt(2), np.float32))))
        raised = self._op("Mul", state, self._op("Add", bent, self._constant("unit", np.array(1, np.float32))))
        return self._op("Mul", raised, self._constant("half", np.array(0.5, np.float32)))

    def _norm(self, name: str, state: str, shape: Shape) -> str:
        scale, shift = (self._constant(f"{name}.{part}", self._weights[f"{name}.{part}"]) for part in ("weight", "bias"))
        return self._op("LayerNormalization", state, scale, shift, axis=-1, epsilon=shape.epsilon)

    def _linear(self, name: str, state: str) -> str:
        return self._product(name, state, self._weights[name + ".weight"].T, self._weights[name + ".bias"])

    def _product(self, name: str, state: str, matrix: Array, shift: Array) -> str:
        return self._op("Add", self._op("MatMul", state, self._constant(name + ".matrix", matrix)), self._constant(name + ".shift", shift))

    def _constant(self, name: str, value: Array) -> str:
        if name not in self._constants:
            self._constants[name] = numpy_helper.from_array(np.ascontiguousarray(value), name)
        return name

    def _split(self, state: str, parts: int) -> list[str]:
        """Cut the first axis into equal parts."""
        outputs = [f"v{len(self._nodes)}.{part}" for part in range(parts)]
        self._nodes.append(helper.make_node("Split", [state], outputs, name=f"n{len(self._nodes)}", axis=0))
        return outputs

    def _op(self, kind: str, *inputs: str, **attributes: Any) -> str:
        output = f"v{len(self._nodes)}"
        self._nodes.append(helper.make_node(kind, list(inputs), [output], name=f"n{len(self._nodes)}", **attributes))
        return output

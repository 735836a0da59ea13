"""Sentence vectors by onnxruntime and tokenizers: mean of the last layer over the tokens, to length one."""

from __future__ import annotations

import json
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
from tokenizers import Tokenizer

from trueup.errors import EmbeddingError

onnxruntime.disable_telemetry_events()  # nothing about an installation leaves it; some builds of the library would tell

_TOKENS = 256
"""What all-MiniLM-L6-v2 was tuned to read; chunks are cut to fit."""
_THREADS = 2
"""Texts of one model computed side by side, besides single texts (questions), which never wait for them."""


class DenseModel:
    """One model from its folder, loaded. Safe for threads.

    Each text is computed alone and by one thread: a vector hangs on its text only, and nothing is spent on padding or on threads that wait
    for one another within an operator, which took half as much again (texts of 200 tokens, two cores).

    Raises:
        EmbeddingError: the folder's files cannot be loaded.
    """

    def __init__(self, folder: Path) -> None:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        options.inter_op_num_threads = 1
        options.log_severity_level = 3
        # The graph is written with the fused operators that pay; the further level would put in one that is slower.
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_BASIC
        # A plan of the memory for every length of text would be kept for ever.
        options.enable_mem_pattern = False
        try:
            self._tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
            self._session = onnxruntime.InferenceSession(str(folder / "model.onnx"), options, providers=["CPUExecutionProvider"])
            self.dimensions: int = json.loads((folder / "config.json").read_text("utf-8"))["hidden_size"]
        except Exception as error:  # both libraries raise their own plain Exception
            raise EmbeddingError(why="the installed model cannot be loaded; run `trueup models install` again") from error
        self._tokenizer.enable_truncation(_TOKENS)
        self._tokenizer.no_padding()  # whatever length the file fixes
        self._pool = ThreadPoolExecutor(_THREADS, "embed")

    def embed(self, texts: Sequence[str]) -> list[bytes]:
        """Vectors of `texts` in order, each little-endian float32 of length one.

        Raises:
            EmbeddingError: the runtime failed.
        """
        if len(texts) == 1:
            return [self._vector(texts[0])]
        return list(self._pool.map(self._vector, texts))

    def _vector(self, text: str) -> bytes:
        ids = np.array([self._tokenizer.encode(text).ids], np.int64)
        try:
            mean: Any = self._session.run(["mean"], {"input_ids": ids})[0][0]
        except Exception as error:  # onnxruntime raises its own plain Exception
            raise EmbeddingError(why="the runtime could not compute a text") from error
        return bytes((mean / max(float(np.linalg.norm(mean)), 1e-12)).astype("<f4").tobytes())

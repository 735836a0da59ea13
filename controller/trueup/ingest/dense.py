"""Sentence vectors by onnxruntime and tokenizers: mean of the last layer over real tokens, to length one."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnxruntime
from tokenizers import Tokenizer

from trueup.errors import EmbeddingError

_BATCH = 4
"""Texts of 200 tokens computed at once: larger batches are slower here and take 650 MB at 32, where this takes 230."""
_TOKENS = 256
"""What all-MiniLM-L6-v2 was tuned to read; chunks are cut to fit."""
_THREADS = 2


class DenseModel:
    """One model from its folder, loaded. Safe for threads.

    Raises:
        EmbeddingError: the folder's files cannot be loaded.
    """

    def __init__(self, folder: Path) -> None:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = _THREADS
        options.inter_op_num_threads = 1
        options.log_severity_level = 3
        # Threads that spin while idle would take both cores from everything else.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        try:
            self._tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
            self._session = onnxruntime.InferenceSession(str(folder / "model.onnx"), options, providers=["CPUExecutionProvider"])
            self.dimensions: int = json.loads((folder / "config.json").read_text("utf-8"))["hidden_size"]
        except Exception as error:  # both libraries raise their own plain Exception
            raise EmbeddingError(why="the installed model cannot be loaded; run `trueup models install` again") from error
        self._tokenizer.enable_truncation(_TOKENS)
        self._tokenizer.enable_padding()  # to the longest of a batch, not to the length the file fixes

    def embed(self, texts: Sequence[str]) -> list[bytes]:
        """Vectors of `texts` in order, each little-endian float32 of length one.

        Texts of like length are computed together, because a batch costs what its longest text costs.

        Raises:
            EmbeddingError: the runtime failed.
        """
        order = sorted(range(len(texts)), key=lambda i: len(texts[i]))
        made: list[bytes] = [b""] * len(texts)
        for start in range(0, len(order), _BATCH):
            part = order[start : start + _BATCH]
            for place, vector in zip(part, self._run([texts[i] for i in part]), strict=True):
                made[place] = vector.tobytes()
        return made

    def _run(self, texts: list[str]) -> npt.NDArray[np.float32]:
        encodings = self._tokenizer.encode_batch(texts)
        ids = np.array([e.ids for e in encodings], np.int64)
        mask = np.array([e.attention_mask for e in encodings], np.int64)
        try:
            hidden: Any = self._session.run(["hidden"], {"input_ids": ids, "attention_mask": mask})[0]
        except Exception as error:  # onnxruntime raises its own plain Exception
            raise EmbeddingError(why="the runtime could not compute a batch") from error
        weights = mask[:, :, None].astype(np.float32)
        mean = (hidden * weights).sum(1) / np.maximum(weights.sum(1), 1.0)
        unit: npt.NDArray[np.float32] = (mean / np.maximum(np.linalg.norm(mean, axis=1, keepdims=True), 1e-12)).astype("<f4")
        return unit

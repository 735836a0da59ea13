"""LangChain: `index(cleanup="full")` with its SQL record manager and its in-memory vector store."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from langchain_classic.indexes import SQLRecordManager
from langchain_core.documents import Document
from langchain_core.embeddings import Embeddings
from langchain_core.indexing import index
from langchain_core.vectorstores import InMemoryVectorStore

import corpus
from passes import main


class Hashed(Embeddings):
    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        return [corpus.vector(text).tolist() for text in texts]

    def embed_query(self, text: str) -> list[float]:
        return corpus.vector(text).tolist()


class LangChain:
    def __init__(self, folder: Path, work: Path) -> None:
        self.folder = folder
        self.records = SQLRecordManager("bench", db_url=f"sqlite:///{work / 'records.db'}")
        self.records.create_schema()
        self.store = InMemoryVectorStore(Hashed())

    def sync(self) -> None:
        documents = [
            Document(page_content=passage, metadata={"source": str(path.relative_to(self.folder))})
            for path in sorted(self.folder.rglob("*.md"))
            for passage in corpus.passages(path.read_text("utf-8"))
        ]
        index(documents, self.records, self.store, cleanup="full", source_id_key="source", key_encoder="sha256")

    def drain(self) -> None:
        pass

    def served(self, words: list[str]) -> int:
        text = "\n".join(entry["text"] for entry in self.store.store.values())
        return sum(word in text for word in words)

    def close(self) -> None:
        pass


if __name__ == "__main__":
    main("LangChain index(full)", LangChain)

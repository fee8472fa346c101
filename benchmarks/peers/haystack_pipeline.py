"""The hybrid pipeline of Haystack's documentation, as a child of `retrieval_peers.py`.

Runs under the Python of an environment that holds `haystack-ai` and
`sentence-transformers-haystack`. Everything is Haystack's default (splitter of 200 words, in-memory
store, BM25 and embedding retriever, joined by reciprocal ranks) but for the model's own prefixes,
and the titles, which stand before the texts.
"""

from __future__ import annotations

from importlib.metadata import version

from haystack import Document
from haystack.components.joiners import DocumentJoiner
from haystack.components.preprocessors import DocumentSplitter
from haystack.components.retrievers.in_memory import (
    InMemoryBM25Retriever,
    InMemoryEmbeddingRetriever,
)
from haystack.document_stores.in_memory import InMemoryDocumentStore
from haystack_integrations.components.embedders.sentence_transformers import (
    SentenceTransformersDocumentEmbedder,
    SentenceTransformersTextEmbedder,
)
from protocol import DEPTH, Asked, Found, answer, unique


def main() -> None:
    """Index, ask, and write."""
    answer(_build)


def _build(asked: Asked) -> dict[str, Found]:
    documents = [
        Document(content=f"{title}\n{text}".strip(), meta={"name": name})
        for name, (title, text) in asked["documents"].items()
    ]
    splitter = DocumentSplitter()
    embedder = SentenceTransformersDocumentEmbedder(
        model=asked["model"], prefix="passage: ", progress_bar=False
    )
    asker = SentenceTransformersTextEmbedder(
        model=asked["model"], prefix="query: ", progress_bar=False
    )
    for component in (splitter, embedder, asker):
        component.warm_up()
    store = InMemoryDocumentStore(embedding_similarity_function="cosine")
    store.write_documents(embedder.run(splitter.run(documents)["documents"])["documents"])
    by_meaning = InMemoryEmbeddingRetriever(document_store=store, top_k=DEPTH)
    by_words = InMemoryBM25Retriever(document_store=store, top_k=DEPTH)
    joiner = DocumentJoiner(join_mode="reciprocal_rank_fusion", top_k=DEPTH)

    def hybrid(question: str) -> list[str]:
        vector = asker.run(question)["embedding"]
        lists = [
            by_meaning.run(query_embedding=vector)["documents"],
            by_words.run(query=question)["documents"],
        ]
        return unique(one.meta["name"] for one in joiner.run(lists)["documents"])

    return {f"Haystack {version('haystack-ai')}, hybrid": hybrid}


if __name__ == "__main__":
    main()

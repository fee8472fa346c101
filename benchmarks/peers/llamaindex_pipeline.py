"""LlamaIndex's default pipeline and its documented hybrid one, as a child of `retrieval_peers.py`.

Runs under the Python of an environment that holds `llama-index-core`,
`llama-index-embeddings-huggingface` and `llama-index-retrievers-bm25`. Everything is the default
(sentence splitter of 1,024 tokens, in-memory vector store; for the hybrid BM25 beside it, joined by
reciprocal ranks) but for the model's own prefixes, and the titles, which stand before the texts.
"""

from __future__ import annotations

from importlib.metadata import version

from llama_index.core import Document, VectorStoreIndex
from llama_index.core.llms import MockLLM
from llama_index.core.retrievers import BaseRetriever, QueryFusionRetriever
from llama_index.embeddings.huggingface import HuggingFaceEmbedding
from llama_index.retrievers.bm25 import BM25Retriever
from protocol import DEPTH, Asked, Found, answer, unique


def main() -> None:
    """Index, ask, and write."""
    answer(_build)


def _build(asked: Asked) -> dict[str, Found]:
    embedding = HuggingFaceEmbedding(
        model_name=asked["model"], query_instruction="query: ", text_instruction="passage: "
    )
    documents = [
        Document(
            text=f"{title}\n{text}".strip(),
            metadata={"name": name},
            excluded_embed_metadata_keys=["name"],
            excluded_llm_metadata_keys=["name"],
        )
        for name, (title, text) in asked["documents"].items()
    ]
    index = VectorStoreIndex.from_documents(documents, embed_model=embedding)
    by_meaning = index.as_retriever(similarity_top_k=DEPTH)
    nodes = list(index.docstore.docs.values())
    by_words = BM25Retriever.from_defaults(nodes=nodes, similarity_top_k=min(DEPTH, len(nodes)))
    hybrid = QueryFusionRetriever(
        [by_meaning, by_words],
        llm=MockLLM(),
        mode="reciprocal_rerank",
        similarity_top_k=DEPTH,
        num_queries=1,
        use_async=False,
    )
    name = f"LlamaIndex {version('llama-index-core')}"
    return {f"{name}, default": _searching(by_meaning), f"{name}, hybrid": _searching(hybrid)}


def _searching(retriever: BaseRetriever) -> Found:
    def search(question: str) -> list[str]:
        return unique(found.node.metadata["name"] for found in retriever.retrieve(question))

    return search


if __name__ == "__main__":
    main()

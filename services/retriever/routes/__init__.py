"""The retriever's HTTP surface."""

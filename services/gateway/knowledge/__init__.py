"""OpenAI's surfaces of knowledge: embeddings, files and vector stores."""

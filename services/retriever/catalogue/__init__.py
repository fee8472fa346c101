"""What is stored: collections, documents, their texts, and writes that are under way."""

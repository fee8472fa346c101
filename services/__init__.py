"""Inkstone: knowledge from retrieval, voice from adapters, behind one chat endpoint."""

"""The catalogue as one thing that the process owns."""

from __future__ import annotations

from dataclasses import dataclass

from services.retriever.catalogue.documents import Documents
from services.retriever.catalogue.repairs import Repairs
from services.retriever.catalogue.tables import Database
from services.retriever.catalogue.writes import Writes


@dataclass(frozen=True, slots=True)
class Catalogue:
    """What is stored, what is being written, and what is to be put right."""

    documents: Documents
    writes: Writes
    repairs: Repairs


def catalogue_over(database: Database, fingerprint: str) -> Catalogue:
    """Make the catalogue of one embedding model."""
    return Catalogue(
        documents=Documents(database, fingerprint),
        writes=Writes(database, fingerprint),
        repairs=Repairs(database, fingerprint),
    )

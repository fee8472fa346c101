"""What a key may call as `model`."""

from __future__ import annotations

from services.contracts.knowledge import EmbeddingModel
from services.contracts.models import Model
from services.gateway.registry.snapshot import Caller, Snapshot
from services.gateway.resolution import ModelNotFound, bases


def list_models(
    snapshot: Snapshot, caller: Caller, embedding: EmbeddingModel | None = None
) -> list[Model]:
    """List assistants, adapter versions, bases, and the embedding model where it is known.

    A name that hides another comes first.
    """
    listed = {model.id: model for model in reversed(_all(snapshot, caller, embedding))}
    return list(reversed(listed.values()))


def describe_model(
    snapshot: Snapshot, caller: Caller, name: str, embedding: EmbeddingModel | None = None
) -> Model:
    """Describe what a name stands for.

    Raises:
        ModelNotFound: when the key may not see it.
    """
    for model in _all(snapshot, caller, embedding):
        if model.id == name:
            return model
    raise ModelNotFound(name)


def _all(snapshot: Snapshot, caller: Caller, embedding: EmbeddingModel | None) -> list[Model]:
    assistants = [
        Model(
            id=assistant.id,
            created=assistant.updated_at,
            kind="assistant",
            release=assistant.stable.id,
            adapter=assistant.stable.adapter,
            description=assistant.description,
        )
        for (tenant, _), assistant in snapshot.assistants.items()
        if tenant == caller.tenant
    ]
    adapters = [
        Model(
            id=version.id,
            created=version.created_at,
            kind="adapter",
            adapter=version.id,
            description=version.manifest.description,
        )
        for (tenant, _), version in snapshot.adapters.items()
        if tenant == caller.tenant
    ]
    plain = [Model(id=name, created=0, kind="base") for name in bases(snapshot)]
    if embedding is not None:
        dimensions = f"{embedding.dimensions} dimensions; for POST /v1/embeddings"
        plain.append(Model(id=embedding.model, created=0, kind="embedding", description=dimensions))
    return [*assistants, *adapters, *plain]

"""Pieces of a registry's snapshot; only what a test is about needs to be said."""

from __future__ import annotations

import time
from typing import Any

from services.contracts.adapters import Replica, ReplicaAdapter, ReplicaAdapterState
from services.contracts.assistants import Assistant, Profile, Release
from services.contracts.keys import Scope
from services.domain.rendering import profile_hash
from services.gateway.registry.snapshot import Caller


def release(*, profile: Profile | None = None, **fields: Any) -> Release:
    """Make a release."""
    made = profile or Profile()
    defaults: dict[str, Any] = {
        "id": "support/1",
        "assistant": "support",
        "number": 1,
        "created_at": 1,
        "created_by": "key",
        "profile": made,
        "profile_hash": profile_hash(made),
        "retrieval": None,
        "adapter": None,
        "evidence": "waived",
        "prompt_mismatch": False,
    }
    return Release(**{**defaults, **fields})


def assistant(stable: Release) -> Assistant:
    """Make an assistant that serves a release."""
    return Assistant(id=stable.assistant, description="", stable=stable, updated_at=1, version=1)


def replica(name: str = "r1", **fields: Any) -> Replica:
    """Make a ready replica; `proven` names the adapter versions that it has proven."""
    proven = fields.pop("proven", ())
    defaults: dict[str, Any] = {
        "replica": name,
        "endpoint": "http://127.0.0.1:1",
        "engine": "ready",
        "engine_started_at": 1.0,
        "base_model": "base",
        "base_fingerprint": "0" * 12,
        "chat_template_hash": "0" * 12,
        "max_model_len": 2048,
        "max_loras": 4,
        "max_cpu_loras": 8,
        "max_lora_rank": 32,
        "adapters": {
            version: ReplicaAdapter(state=ReplicaAdapterState.PROVEN) for version in proven
        },
        "last_heartbeat_at": time.time(),
        "live": True,
        "ready": True,
        "in_flight": 0,
    }
    return Replica(**{**defaults, **fields})


def caller(tenant: str = "default", *scopes: Scope) -> Caller:
    """Make a caller."""
    return Caller("key-1", tenant, frozenset(scopes or (Scope.APP,)), (), None)

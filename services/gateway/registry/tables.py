"""The registry's tables; every row that belongs to somebody carries its tenant."""

from __future__ import annotations

from typing import Any

from sqlalchemy import (
    JSON,
    BigInteger,
    Column,
    Double,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    Named,
    PrimaryKeyConstraint,
    String,
    Table,
    Text,
    TypedColumns,
    text,
)

_ROW_ID = BigInteger().with_variant(Integer, "sqlite")

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
    }
)
"""What Alembic compares with the database."""

LONE = "unversioned"
"""Where a table's `info` says why no two writers can undo each other's changes of its rows."""

_WRITTEN_ONCE = "written once, never changed"


def _version() -> Column[int]:
    """Make the optimistic version of a row.

    It grows with every update that does not set it: one that changes nothing that anybody decides,
    such as a time of last use, sets it to what it is.
    """
    return Column(Integer, default=1, onupdate=text("version + 1"))


def _lone(why: str) -> dict[str, str]:
    return {LONE: why}


class _RevisionColumns(TypedColumns):
    subject: Named[str] = Column(String(32), primary_key=True)
    revision: Named[int] = Column(BigInteger)


revisions = Table(
    "registry_revision",
    metadata,
    _RevisionColumns,
    info=_lone("a counter, which each change raises in its own transaction"),
)
"""One counter for each subject of the snapshot; grows with every change to it."""


class _KeyColumns(TypedColumns):
    id: Named[str] = Column(String(32), primary_key=True)
    tenant: Named[str] = Column(String(63), index=True)
    name: Named[str] = Column(Text)
    scopes: Named[Any] = Column(JSON, nullable=False)
    groups: Named[Any] = Column(JSON, nullable=False)
    created_at: Named[int] = Column(BigInteger)
    expires_at: Named[int | None] = Column(BigInteger)
    revoked_at: Named[int | None] = Column(BigInteger)
    last_used_at: Named[int | None] = Column(BigInteger)
    version: Named[int] = _version()


keys = Table("keys", metadata, _KeyColumns)
"""API keys without their secrets."""


class _SecretColumns(TypedColumns):
    hash: Named[str] = Column(String(64), primary_key=True)
    key_id: Named[str] = Column(String(32), ForeignKey("keys.id"), index=True)
    tenant: Named[str] = Column(String(63))
    created_at: Named[int] = Column(BigInteger)
    expires_at: Named[int | None] = Column(BigInteger)


key_secrets = Table(
    "key_secrets",
    metadata,
    _SecretColumns,
    info=_lone("changed only with its key, under the key's version"),
)
"""The hashes under which a key is known; a rotated key has two for a while."""


class _AdapterColumns(TypedColumns):
    tenant: Named[str] = Column(String(63))
    id: Named[str] = Column(String(80))
    name: Named[str] = Column(String(63))
    content_hash: Named[str] = Column(String(64))
    rank: Named[int] = Column(Integer)
    target_modules: Named[Any] = Column(JSON, nullable=False)
    bytes: Named[int] = Column(BigInteger)
    state: Named[str] = Column(String(16))
    created_at: Named[int] = Column(BigInteger)
    created_by: Named[str] = Column(String(32))
    wanted_until: Named[int] = Column(BigInteger)
    retired_at: Named[int | None] = Column(BigInteger, nullable=True)
    files: Named[str] = Column(String(16), nullable=False, server_default="kept")
    manifest: Named[Any] = Column(JSON, nullable=False)
    version: Named[int] = _version()


adapters = Table(
    "adapters",
    metadata,
    _AdapterColumns,
    PrimaryKeyConstraint("tenant", "id"),
    Index(None, "id"),
)
"""Adapter versions. `wanted_until` orders those that no assistant serves: latest stays loaded."""


class _AssistantColumns(TypedColumns):
    tenant: Named[str] = Column(String(63))
    name: Named[str] = Column(String(63))
    description: Named[str] = Column(Text)
    stable: Named[int | None] = Column(Integer)
    updated_at: Named[int] = Column(BigInteger)
    version: Named[int] = _version()


assistants = Table(
    "assistants", metadata, _AssistantColumns, PrimaryKeyConstraint("tenant", "name")
)
"""Assistants. `stable` is a release's number, or null when the assistant was deleted."""


class _ReleaseColumns(TypedColumns):
    tenant: Named[str] = Column(String(63))
    assistant: Named[str] = Column(String(63))
    number: Named[int] = Column(Integer)
    created_at: Named[int] = Column(BigInteger)
    created_by: Named[str] = Column(String(32))
    profile: Named[Any] = Column(JSON, nullable=False)
    profile_hash: Named[str] = Column(String(12))
    retrieval: Named[Any] = Column(JSON(none_as_null=True), nullable=True)
    adapter: Named[str | None] = Column(String(80))
    evidence: Named[str] = Column(String(16))
    prompt_mismatch: Named[bool]


releases = Table(
    "releases",
    metadata,
    _ReleaseColumns,
    PrimaryKeyConstraint("tenant", "assistant", "number"),
    info=_lone("written once; an evaluation that stands behind one is noted and never taken back"),
)
"""Releases: what each is made of is written once, never changed, never deleted."""


class _RolloutColumns(TypedColumns):
    tenant: Named[str] = Column(String(63))
    id: Named[str] = Column(String(32))
    assistant: Named[str] = Column(String(63))
    strategy: Named[str] = Column(String(16))
    stable: Named[int] = Column(Integer)
    candidate: Named[int] = Column(Integer)
    steps: Named[Any] = Column(JSON, nullable=False)
    analysis: Named[Any] = Column(JSON(none_as_null=True), nullable=True)
    gate: Named[Any] = Column(JSON(none_as_null=True), nullable=True)
    shadow: Named[Any] = Column(JSON(none_as_null=True), nullable=True)
    state: Named[str] = Column(String(16), index=True)
    step: Named[int] = Column(Integer)
    held: Named[str | None] = Column(String(16))
    reason: Named[str | None] = Column(Text)
    created_at: Named[int] = Column(BigInteger)
    created_by: Named[str] = Column(String(32))
    serving_since: Named[float | None] = Column(Double, nullable=True)
    entered_at: Named[float]
    version: Named[int] = _version()


rollouts = Table(
    "rollouts",
    metadata,
    _RolloutColumns,
    PrimaryKeyConstraint("tenant", "id"),
    Index(None, "tenant", "assistant", "created_at"),
)
"""Rollouts. `stable` and `candidate` are numbers of releases; the way of each is in the events."""


class _LeaseColumns(TypedColumns):
    name: Named[str] = Column(String(32), primary_key=True)
    holder: Named[str] = Column(String(64))
    until: Named[float]


leases = Table(
    "leases",
    metadata,
    _LeaseColumns,
    info=_lone("changed only by its holder, or by anybody once its time is over"),
)
"""Work that one gateway does for all: whose it is, and until when."""


class _ReplicaColumns(TypedColumns):
    replica: Named[str] = Column(String(63), primary_key=True)
    report: Named[Any] = Column(JSON, nullable=False)
    last_heartbeat_at: Named[float]


replicas = Table(
    "replicas",
    metadata,
    _ReplicaColumns,
    info=_lone("a replica writes its own row only, whole, and its last word counts"),
)
"""The last report of each replica; replicas belong to the installation, not to a tenant."""


class _EventColumns(TypedColumns):
    id: Named[int] = Column(_ROW_ID, primary_key=True, autoincrement=True)
    tenant: Named[str] = Column(String(63))
    at: Named[float]
    actor: Named[str] = Column(String(32))
    action: Named[str] = Column(String(64))
    subject: Named[str] = Column(String(160))
    reason: Named[str | None] = Column(Text)
    detail: Named[Any] = Column(JSON, nullable=False)
    request_id: Named[str] = Column(String(128))


events = Table(
    "events", metadata, _EventColumns, Index(None, "tenant", "id"), info=_lone(_WRITTEN_ONCE)
)
"""The audit log: who changed what, when and why."""


class _IdempotencyColumns(TypedColumns):
    tenant: Named[str] = Column(String(63))
    key: Named[str] = Column(String(255))
    fingerprint: Named[str] = Column(String(64))
    status: Named[int] = Column(Integer)
    reply: Named[Any] = Column(JSON, nullable=False)
    created_at: Named[int] = Column(BigInteger, index=True)


idempotency = Table(
    "idempotency",
    metadata,
    _IdempotencyColumns,
    PrimaryKeyConstraint("tenant", "key"),
    info=_lone(_WRITTEN_ONCE),
)
"""What was answered to a request that carried an `Idempotency-Key`; never holds a secret."""


class _LedgerColumns(TypedColumns):
    id: Named[str] = Column(String(32), primary_key=True)
    at: Named[float]
    tenant: Named[str] = Column(String(63))
    key_id: Named[str] = Column(String(32))
    request_id: Named[str] = Column(String(128))
    assistant: Named[str | None] = Column(String(256))
    release: Named[str | None] = Column(String(80))
    arm: Named[str] = Column(String(16))
    adapter: Named[str | None] = Column(String(80))
    replica: Named[str | None] = Column(String(63))
    status: Named[int] = Column(Integer)
    outcome: Named[str | None] = Column(String(16))
    error_code: Named[str | None] = Column(String(64))
    prompt_tokens: Named[int] = Column(Integer)
    cached_tokens: Named[int] = Column(Integer)
    completion_tokens: Named[int] = Column(Integer)
    cost_usd: Named[float]
    admit_ms: Named[float]
    rewrite_ms: Named[float] = Column(Double, nullable=False, server_default="0")
    retrieve_ms: Named[float]
    compose_ms: Named[float]
    first_token_ms: Named[float]
    generate_ms: Named[float]
    inter_token_ms: Named[float | None] = Column(Double, nullable=True)
    total_ms: Named[float]
    passages: Named[int] = Column(Integer)
    cited: Named[int] = Column(Integer)
    invalid_citations: Named[int] = Column(Integer)
    support: Named[float | None] = Column(Double, nullable=True)
    corpus_revision: Named[int | None] = Column(BigInteger)
    streamed: Named[bool]
    disconnected: Named[bool]
    overridden: Named[bool]
    caller_system: Named[bool]
    copy_of: Named[str | None] = Column(String(32))


ledger = Table(
    "ledger",
    metadata,
    _LedgerColumns,
    Index(None, "tenant", "at"),
    Index(None, "tenant", "release", "at"),
    Index(None, "tenant", "request_id"),
    info=_lone(_WRITTEN_ONCE),
)
"""One row per answered request, without its text."""


class _FeedbackColumns(TypedColumns):
    tenant: Named[str] = Column(String(63))
    key_id: Named[str] = Column(String(32))
    request_id: Named[str] = Column(String(128))
    score: Named[float]
    comment: Named[str | None] = Column(Text)
    assistant: Named[str | None] = Column(String(256))
    release: Named[str | None] = Column(String(80))
    arm: Named[str] = Column(String(16))
    overridden: Named[bool]
    asked_at: Named[float]
    created_at: Named[int] = Column(BigInteger)


feedback = Table(
    "feedback",
    metadata,
    _FeedbackColumns,
    PrimaryKeyConstraint("tenant", "key_id", "request_id"),
    Index(None, "tenant", "release", "asked_at"),
    info=_lone("written whole by the one key that asked, whose last word counts"),
)
"""What readers thought of answers, with what the ledger knows of each."""


class _TrainingJobColumns(TypedColumns):
    id: Named[str] = Column(String(32), primary_key=True)
    tenant: Named[str] = Column(String(63))
    status: Named[str] = Column(String(16), index=True)
    spec: Named[Any] = Column(JSON, nullable=False)
    created_at: Named[int] = Column(BigInteger)
    created_by: Named[str] = Column(String(32))
    finished_at: Named[int | None] = Column(BigInteger)
    worker: Named[str | None] = Column(String(63))
    lease_until: Named[float]
    attempts: Named[int] = Column(Integer)
    progress: Named[Any] = Column(JSON(none_as_null=True), nullable=True)
    adapter_version: Named[str | None] = Column(String(80))
    error: Named[str | None] = Column(Text)
    error_code: Named[str | None] = Column(String(64))
    cancel_requested: Named[bool]
    pause_requested: Named[bool]
    checkpoints: Named[Any] = Column(JSON(none_as_null=True), nullable=True)
    result_files: Named[Any] = Column(JSON(none_as_null=True), nullable=True)
    evaluation: Named[Any] = Column(JSON(none_as_null=True), nullable=True)
    version: Named[int] = _version()


training_jobs = Table(
    "training_jobs", metadata, _TrainingJobColumns, Index(None, "tenant", "created_at")
)
"""Training jobs; a running one belongs to its worker until `lease_until`."""


class _TrainingEventColumns(TypedColumns):
    id: Named[int] = Column(_ROW_ID, primary_key=True, autoincrement=True)
    job: Named[str] = Column(String(32))
    attempt: Named[int] = Column(Integer)
    number: Named[int] = Column(Integer)
    at: Named[float]
    level: Named[str] = Column(String(8))
    message: Named[str] = Column(Text)
    data: Named[Any] = Column(JSON(none_as_null=True), nullable=True)


training_events = Table(
    "training_events",
    metadata,
    _TrainingEventColumns,
    Index(None, "job", "attempt", "number", unique=True),
    info=_lone(_WRITTEN_ONCE),
)
"""What happened to training jobs; attempt 0 is what the gateway says itself."""


class _FileColumns(TypedColumns):
    id: Named[str] = Column(String(32), primary_key=True)
    tenant: Named[str] = Column(String(63))
    filename: Named[str] = Column(Text)
    purpose: Named[str] = Column(String(32))
    bytes: Named[int] = Column(BigInteger)
    state: Named[str] = Column(String(16), index=True)
    created_at: Named[int] = Column(BigInteger)
    created_by: Named[str] = Column(String(32))
    expires_at: Named[int | None] = Column(BigInteger, index=True)


files = Table(
    "files",
    metadata,
    _FileColumns,
    Index(None, "tenant", "created_at"),
    info=_lone("written once; its state only goes forward, from receiving to kept to removing"),
)
"""Uploaded files. `receiving` and `removing` ones are nobody's; the sweep ends them."""


class _VectorStoreColumns(TypedColumns):
    tenant: Named[str] = Column(String(63))
    id: Named[str] = Column(String(63))
    name: Named[str] = Column(Text)
    description: Named[str] = Column(Text)
    metadata: Named[Any] = Column(JSON, nullable=False)
    created_at: Named[int] = Column(BigInteger)
    updated_at: Named[int] = Column(BigInteger)
    removed_at: Named[int | None] = Column(BigInteger)
    version: Named[int] = _version()


vector_stores = Table(
    "vector_stores", metadata, _VectorStoreColumns, PrimaryKeyConstraint("tenant", "id")
)
"""What is said of collections as vector stores; a collection without a row is one as well.

One with `removed_at` is being removed and seen by nobody.
"""


class _VectorStoreFileColumns(TypedColumns):
    tenant: Named[str] = Column(String(63))
    store: Named[str] = Column(String(63))
    file_id: Named[str] = Column(String(32), index=True)
    status: Named[str] = Column(String(16))
    todo: Named[str] = Column(String(8), index=True)
    revision: Named[int] = Column(Integer)
    attributes: Named[Any] = Column(JSON, nullable=False)
    created_at: Named[int] = Column(BigInteger)
    error_code: Named[str | None] = Column(String(32))
    error_message: Named[str | None] = Column(Text)
    attempts: Named[int] = Column(Integer)
    lease: Named[str | None] = Column(String(32))
    lease_until: Named[float]


vector_store_files = Table(
    "vector_store_files",
    metadata,
    _VectorStoreFileColumns,
    PrimaryKeyConstraint("tenant", "store", "file_id"),
    Index(None, "tenant", "store", "created_at"),
    info=_lone("`revision` is its version for those who work on it; a wish replaces it whole"),
)
"""Files in vector stores. `todo` says what is left to do with one: index, discard, remove, or none.

`revision` grows with every wish, so that whoever finished an older one knows; what is being done
belongs to `lease` until `lease_until`.
"""


class _FileBatchColumns(TypedColumns):
    tenant: Named[str] = Column(String(63))
    id: Named[str] = Column(String(40))
    store: Named[str] = Column(String(63))
    file_ids: Named[Any] = Column(JSON, nullable=False)
    created_at: Named[int] = Column(BigInteger)
    cancelled: Named[bool]


file_batches = Table(
    "file_batches",
    metadata,
    _FileBatchColumns,
    PrimaryKeyConstraint("tenant", "id"),
    info=_lone("written once; it can be cancelled, which is never taken back"),
)
"""Which files were attached to a vector store together."""


class _EvaluationSetColumns(TypedColumns):
    tenant: Named[str] = Column(String(63))
    name: Named[str] = Column(String(63))
    hash: Named[str] = Column(String(12))
    cases: Named[Any] = Column(JSON, nullable=False)
    count: Named[int] = Column(Integer)
    guards: Named[int] = Column(Integer)
    current: Named[bool]
    created_at: Named[int] = Column(BigInteger)
    created_by: Named[str] = Column(String(32))
    version: Named[int] = _version()


evaluation_sets = Table(
    "evaluation_sets",
    metadata,
    _EvaluationSetColumns,
    PrimaryKeyConstraint("tenant", "name", "hash"),
)
"""Sets of cases; a set's earlier contents stay, because evaluations were made with them."""


class _EvaluationColumns(TypedColumns):
    tenant: Named[str] = Column(String(63))
    id: Named[str] = Column(String(32))
    cases: Named[str] = Column(String(63))
    dataset_hash: Named[str] = Column(String(12))
    assistant: Named[str] = Column(String(63))
    baseline: Named[int] = Column(Integer)
    candidate: Named[int] = Column(Integer)
    adapter: Named[str | None] = Column(String(80))
    prompt_hash: Named[str] = Column(String(12))
    rollout: Named[str | None] = Column(String(32))
    gated_at: Named[float | None] = Column(Double, nullable=True)
    job: Named[str | None] = Column(String(32))
    repeats: Named[int] = Column(Integer)
    rules: Named[Any] = Column(JSON, nullable=False)
    state: Named[str] = Column(String(16), index=True)
    verdict: Named[str | None] = Column(String(16))
    reason: Named[str | None] = Column(Text)
    report: Named[Any] = Column(JSON(none_as_null=True), nullable=True)
    created_at: Named[int] = Column(BigInteger)
    created_by: Named[str] = Column(String(32))
    finished_at: Named[int | None] = Column(BigInteger)
    deadline: Named[float]


evaluations = Table(
    "evaluations",
    metadata,
    _EvaluationColumns,
    PrimaryKeyConstraint("tenant", "id"),
    Index(None, "tenant", "created_at"),
    Index(None, "tenant", "adapter", "prompt_hash"),
    Index(None, "tenant", "rollout"),
    info=_lone("ended once, by whoever finds it running; one that is over never changes"),
)
"""Evaluations of a candidate release beside a baseline, and what they found.

One that a rollout's gate began names the rollout, and in `gated_at` when it came to the gate; one
that judges what a training made names the job.
"""


class _EvaluationAnswerColumns(TypedColumns):
    tenant: Named[str] = Column(String(63))
    evaluation: Named[str] = Column(String(32))
    case_id: Named[str] = Column(String(128))
    repeat: Named[int] = Column(Integer)
    baseline: Named[Any] = Column(JSON, nullable=False)
    candidate: Named[Any] = Column(JSON, nullable=False)


evaluation_answers = Table(
    "evaluation_answers",
    metadata,
    _EvaluationAnswerColumns,
    PrimaryKeyConstraint("tenant", "evaluation", "case_id", "repeat"),
    info=_lone(_WRITTEN_ONCE),
)
"""What both arms answered to a case, judged; a row is whole or not there."""


class _ContentColumns(TypedColumns):
    tenant: Named[str] = Column(String(63))
    id: Named[str] = Column(String(32))
    request_id: Named[str] = Column(String(128))
    end_user: Named[str | None] = Column(String(64))
    assistant: Named[str] = Column(String(63))
    release: Named[str] = Column(String(80))
    arm: Named[str] = Column(String(16))
    at: Named[float]
    expires_at: Named[float] = Column(Double, nullable=False, index=True)
    question: Named[str] = Column(Text)
    passages: Named[Any] = Column(JSON, nullable=False)
    answer: Named[str] = Column(Text)
    shadow_release: Named[str | None] = Column(String(80))
    shadow_answer: Named[str | None] = Column(Text)


content = Table(
    "content",
    metadata,
    _ContentColumns,
    PrimaryKeyConstraint("tenant", "id"),
    Index(None, "tenant", "at"),
    Index(None, "tenant", "request_id"),
    Index(None, "tenant", "end_user"),
    info=_lone("the request and its one copy each write their own columns, once"),
)
"""Texts of requests of tenants that want them kept, by the id of the request's ledger row.

`end_user` is a hash. Nothing else in the registry holds what was asked or answered.
"""

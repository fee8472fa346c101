"""The gateway's settings, read from `INKSTONE_GATEWAY_*`."""

from __future__ import annotations

from pathlib import Path
from typing import Self

from pydantic import Field, SecretStr, model_validator

from services.chassis.serving import Listening
from services.chassis.settings import ServiceSettings, SettingsGroup, settings_config

_MIB = 1024 * 1024


class TokenPrices(SettingsGroup):
    """US dollars per million tokens; zero for hardware that is already paid for."""

    prompt: float = Field(default=0.0, ge=0)
    """Of prompt tokens that the engine had to read."""
    cached: float = Field(default=0.0, ge=0)
    """Of prompt tokens that the engine found in its prefix cache."""
    completion: float = Field(default=0.0, ge=0)
    """Of generated tokens."""


class ChatLimits(SettingsGroup):
    """Bounds of the chat endpoint."""

    max_in_flight: int = Field(default=256, ge=1)
    """Requests that one gateway process answers at once; the next one is told to come back."""
    max_in_flight_per_key: int = Field(default=64, ge=1)
    """Requests that one key may have running on one gateway process."""
    max_messages: int = Field(default=512, ge=1)
    """Turns of one conversation."""
    search_characters: int = Field(default=2000, ge=64, le=8192)
    """How much of a long question, from its end, is searched for."""
    answer_reserve_tokens: int = Field(default=256, ge=1)
    """Tokens that passages and earlier turns leave to an answer that may be so long."""
    ledger_rows: int = Field(default=20_000, ge=1)
    """Ledger rows that may wait for the registry before new ones are dropped and counted."""
    metric_label_values: int = Field(default=200, ge=1)
    """Assistants, and releases, that get metric series of their own; the rest share `other`."""


class EngineCalls(SettingsGroup):
    """How long an engine may take, and how often a request is tried."""

    connect_timeout_seconds: float = Field(default=2.0, gt=0)
    """Until the engine accepts the connection."""
    first_token_timeout_seconds: float = Field(default=60.0, gt=0)
    """Until the first token of a streamed answer."""
    inter_token_timeout_seconds: float = Field(default=30.0, gt=0)
    """Between two tokens of a streamed answer."""
    total_timeout_seconds: float = Field(default=600.0, gt=0)
    """Until the end of the answer, an app that reads slowly included."""
    attempts: int = Field(default=2, ge=1)
    """How often a request is sent to an engine, as long as nothing has reached the app."""


class FileLimits(SettingsGroup):
    """Bounds of `/v1/files`."""

    max_bytes: int = Field(default=128 * _MIB, ge=1)
    """The largest file."""
    max_tenant_bytes: int = Field(default=20 * 1024 * _MIB, ge=1)
    """All files of one tenant together."""
    sweep_seconds: float = Field(default=30.0, gt=0)
    """How often files that expired, or never came in whole, are removed."""


class VectorStoreLimits(SettingsGroup):
    """Bounds of `/v1/vector_stores`, and the indexing of its files beside the requests."""

    max_stores: int = Field(default=1000, ge=1)
    """Collections that a tenant may have before opening a vector store is refused."""
    max_files: int = Field(default=10_000, ge=1)
    """Files in one vector store."""
    concurrent_files: int = Field(default=2, ge=1, le=64)
    """Files that one gateway process has indexed at the same time."""
    lease_seconds: float = Field(default=60.0, gt=0)
    """How long a gateway may be silent before its file is indexed by another."""
    retry_seconds: float = Field(default=5.0, gt=0)
    """The pause before a file is tried again."""
    attempts: int = Field(default=5, ge=1)
    """How often a file is tried; times when the retriever was away or busy do not count."""
    poll_seconds: float = Field(default=1.0, gt=0)
    """How often the gateway looks for files that another gateway took in."""


class RolloutLimits(SettingsGroup):
    """How rollouts are moved."""

    look_seconds: float = Field(default=1.0, gt=0)
    """How often the controller looks at the rollouts under way."""
    lease_seconds: float = Field(default=10.0, gt=0)
    """How long the gateway that moves rollouts may be silent before another one does."""
    stable_only_after_seconds: float = Field(default=10.0, gt=0)
    """How long a gateway that has lost the registry lets candidates answer."""
    keep_warm_seconds: float = Field(default=86_400.0, ge=0)
    """How long replicas keep the adapter that a promoted candidate replaced, where they can."""


class PrometheusQueries(SettingsGroup):
    """A Prometheus that rollouts may be judged by, and what it may be asked."""

    url: str | None = None
    """The base URL of a Prometheus that rollouts may be judged by; none by default."""
    token: SecretStr | None = None
    """The bearer token that the Prometheus wants, if any."""
    queries: dict[str, str] = Field(default_factory=dict)
    """PromQL by name, each for one number; `$candidate`, `$stable`, `$assistant` and `$tenant`
    stand for a rollout's own.

    Rollouts name a query, so that no tenant asks for the figures of another.
    """
    look_seconds: float = Field(default=15.0, gt=0)
    """How often the Prometheus is asked while a candidate answers callers."""
    timeout_seconds: float = Field(default=5.0, gt=0)
    """How long one query to the Prometheus may take."""
    fresh_seconds: float = Field(default=60.0, gt=0)
    """An older answer of the Prometheus says nothing any more, so that the step waits."""
    max_reply_bytes: int = Field(default=65_536, ge=256)
    """A longer answer of the Prometheus is not read."""


class ShadowLimits(SettingsGroup):
    """How much room copies of requests may take that candidates answer unseen."""

    queue: int = Field(default=32, ge=1)
    """Copies that wait in one gateway process for an idle engine; further ones are dropped."""
    wait_seconds: float = Field(default=30.0, gt=0)
    """A copy that has waited for longer is dropped."""
    callers_beside: int = Field(default=0, ge=0)
    """Requests of callers that may run on a replica beside a copy; one more breaks it off.

    Raise it where an engine has room for many answers at once.
    """
    concurrent: int = Field(default=1, ge=1, le=64)
    """Copies that one gateway process has answered at the same time."""
    timeout_seconds: float = Field(default=120.0, gt=0)
    """How long a candidate may take for one; then it counts as failed."""
    look_seconds: float = Field(default=0.1, gt=0)
    """How often the gateway looks whether there is room."""


class EvaluationLimits(SettingsGroup):
    """Bounds of the evaluations that the gateway makes itself."""

    max_cases: int = Field(default=2000, ge=1)
    """Cases in one set."""
    max_set_bytes: int = Field(default=8 * _MIB, ge=1024)
    """The largest set."""
    concurrent: int = Field(default=2, ge=1, le=64)
    """Cases that are asked at the same time."""
    callers_beside: int = Field(default=8, ge=0)
    """Requests of callers that may run on a replica beside a case; one more makes it wait."""
    timeout_seconds: float = Field(default=120.0, gt=0)
    """How long one answer may take; then it counts as failed."""
    max_duration_seconds: float = Field(default=21_600.0, gt=0)
    """An evaluation that takes longer is given up; a gate says its own."""
    look_seconds: float = Field(default=1.0, gt=0)
    """How often the gateway looks for evaluations to work on."""
    lease_seconds: float = Field(default=300.0, gt=0)
    """How long the gateway that asks the cases may be silent before another one does."""
    judge_url: str | None = None
    """An OpenAI-compatible endpoint whose model judges answers, for the check `judge`."""
    judge_model: str | None = None
    """Its model."""
    judge_api_key: SecretStr | None = None
    """Its key."""
    judge_timeout_seconds: float = Field(default=60.0, gt=0)
    """How long one verdict may take before it is asked for again."""
    judge_patience_seconds: float = Field(default=60.0, ge=0)
    """How long it is asked again before the case waits for the next look."""
    style_model: Path | None = None
    """A classifier of `inkstone eval style train`, for the check `style`."""

    @model_validator(mode="after")
    def _names_a_whole_judge(self) -> Self:
        if (self.judge_url is None) is not (self.judge_model is None):
            raise ValueError("a judge has a URL and a model; set both or neither")
        return self


class TrainingLimits(SettingsGroup):
    """Bounds of training jobs."""

    max_open: int = Field(default=100, ge=1)
    """Jobs of one tenant that are queued, running or paused; one more is refused."""
    max_running: int = Field(default=4, ge=1)
    """Jobs of one tenant that workers have at the same time; further ones wait."""
    lease_seconds: float = Field(default=60.0, gt=0)
    """How long a worker may be silent before its job is another one's."""
    max_attempts: int = Field(default=3, ge=1)
    """How many workers may fall silent over a job before it fails."""


class ContentKeeping(SettingsGroup):
    """Whose questions and answers are kept, for judging them later; nobody's by default."""

    tenants: tuple[str, ...] = ()
    """Tenants that want it; what was kept of others is erased."""
    percent: float = Field(default=10.0, gt=0, le=100)
    """Of their answered requests."""
    ttl_seconds: float = Field(default=30 * 86_400.0, gt=0)
    """How long texts are kept."""
    max_characters: int = Field(default=20_000, ge=100)
    """Of each text; the rest is cut off."""
    queue: int = Field(default=200, ge=1)
    """Requests whose texts may wait to be written before further ones are dropped."""
    flush_seconds: float = Field(default=0.5, gt=0)
    """How often texts are written."""
    sweep_seconds: float = Field(default=60.0, gt=0)
    """How often texts that have expired are erased."""


class RetentionLimits(SettingsGroup):
    """How long is kept what grows with every request."""

    ledger_seconds: float = Field(default=400 * 86_400.0, ge=86_400)
    """How long rows of the ledger are kept, with the feedback on their answers; costs are added up
    from them. Those that a rollout under way rests on are kept with it."""
    adapter_files_seconds: float = Field(default=7 * 86_400.0, ge=0)
    """How long the files of a retired adapter version are kept, and longer while a replica holds
    it; after that it has to be uploaded again to be registered again."""
    sweep_seconds: float = Field(default=3600.0, gt=0)
    """How often older rows and files are removed."""
    batch_rows: int = Field(default=2000, ge=1)
    """Rows that one transaction removes."""
    lease_seconds: float = Field(default=300.0, gt=0)
    """How long the gateway that removes them may be silent before another one does."""


class RewriteCalls(SettingsGroup):
    """Bounds of the question that the base writes where a release says `follow_up: rewrite`."""

    timeout_seconds: float = Field(default=3.0, gt=0)
    """How long the base may take; then the questions are joined by rules instead."""
    max_tokens: int = Field(default=64, ge=8, le=512)
    """How long its question may be."""


class Settings(ServiceSettings):
    """Everything that a gateway process can be told."""

    model_config = settings_config("INKSTONE_GATEWAY_")

    listening: Listening = Listening()
    """Where the gateway listens."""
    data_dir: Path
    """The folder for the embedded registry, the local artifact store and uploads under way."""

    database_url: SecretStr | None = None
    """The registry: `postgresql://user:password@host/name`, or SQLite in `data_dir` when unset."""
    database_connections: int = Field(default=5, ge=2)
    """Connections to the registry that this process keeps."""
    snapshot_poll_seconds: float = Field(default=0.2, gt=0)
    """How often the gateway looks for changes that another gateway made."""
    bootstrap_keys_dir: Path | None = None
    """A folder of `admin.key`, `app.key`, `agent.key`, `tuner.key`, registered at start."""
    key_usage_seconds: float = Field(default=10.0, gt=0)
    """How often the times of last use of keys are written."""
    adapter_usage_seconds: float = Field(default=1.0, gt=0)
    """How often versions that apps call directly are asked of the replicas."""
    adapter_usage_renew_seconds: int = Field(default=30, ge=1)
    """How often it is noted again that a version that replicas hold is called."""
    idempotency_ttl_seconds: int = Field(default=86_400, ge=60)
    """How long an `Idempotency-Key` is remembered."""

    retriever_url: str = "http://127.0.0.1:8001"
    """The retriever's base URL."""
    retriever_api_key: SecretStr
    """The key that the retriever expects."""
    retriever_timeout_seconds: float = Field(default=60.0, gt=0)
    """How long a search or a document write may take."""
    max_upload_bytes: int = Field(default=128 * _MIB, ge=1024)
    """The largest bulk upload of files in one request."""
    upload_timeout_seconds: float = Field(default=900.0, gt=0)
    """How long a bulk upload may take, indexing included."""

    search_timeout_seconds: float = Field(default=10.0, gt=0)
    """How long a chat request waits for its passages."""

    engine_api_key: SecretStr | None = None
    """The key that the engines expect."""
    engine: EngineCalls = EngineCalls()
    """Patience with the engines."""
    rewrite: RewriteCalls = RewriteCalls()
    """How follow-up questions are rewritten."""
    tokenizer_dir: Path | None = None
    """The base's folder, whose `tokenizer.json` counts prompts; unset, lengths are estimated."""
    limits: ChatLimits = ChatLimits()
    """Bounds of the chat endpoint."""
    ledger_flush_seconds: float = Field(default=0.5, gt=0)
    """How often ledger rows are written."""

    artifacts_url: str | None = None
    """Where adapters are kept, as an fsspec URL; `artifacts` in `data_dir` when unset."""
    max_adapter_bytes: int = Field(default=512 * _MIB, ge=1024)
    """The largest adapter, packed and unpacked."""
    max_adapter_files: int = Field(default=1000, ge=3)
    """The most files that an uploaded archive may hold."""
    adapter_import_dirs: tuple[Path, ...] = ()
    """Folders from which an operator may register adapters by path; none by default."""

    max_training_bytes: int = Field(default=256 * _MIB, ge=1024)
    """The largest file of training rows."""
    training: TrainingLimits = TrainingLimits()
    """Bounds of training jobs."""

    files: FileLimits = FileLimits()
    """Bounds of uploaded files."""
    vector_stores: VectorStoreLimits = VectorStoreLimits()
    """Bounds of vector stores."""

    heartbeat_seconds: float = Field(default=1.0, gt=0)
    """How often a replica is told to report."""
    replica_timeout_seconds: float = Field(default=5.0, gt=0)
    """A replica that has been silent for longer gets no requests."""
    replica_forget_seconds: float = Field(default=3600.0, gt=0)
    """A replica that has been silent for longer is no longer listed."""
    rollouts: RolloutLimits = RolloutLimits()
    """How rollouts are moved."""
    prometheus: PrometheusQueries = PrometheusQueries()
    """What else rollouts may be judged by."""
    shadow: ShadowLimits = ShadowLimits()
    """How candidates answer unseen."""
    evaluations: EvaluationLimits = EvaluationLimits()
    """Bounds of evaluations."""
    retention: RetentionLimits = RetentionLimits()
    """How long the ledger is kept."""
    content: ContentKeeping = ContentKeeping()
    """What is kept of questions and answers."""
    warm_timeout_seconds: float = Field(default=120.0, gt=0)
    """How long binding an adapter waits for every live replica to prove it."""

    prices: TokenPrices = TokenPrices()
    """What tokens cost."""
    daily_budget_usd: float | None = Field(default=None, gt=0)
    """What all answers of 24 hours should cost at the most; an alert tells, nothing is refused."""

    @property
    def registry_url(self) -> str:
        """The registry's URL, defaults resolved."""
        if self.database_url is not None:
            return self.database_url.get_secret_value()
        return f"sqlite+aiosqlite:///{self.data_dir / 'gateway.sqlite3'}"

    @property
    def artifact_store_url(self) -> str:
        """The artifact store's URL, defaults resolved."""
        return self.artifacts_url or (self.data_dir.absolute() / "artifacts").as_uri()

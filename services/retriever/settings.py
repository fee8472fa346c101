"""What an operator can set for the retriever."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import Field, SecretStr, model_validator

from services.chassis.serving import Listening
from services.chassis.settings import ServiceSettings, SettingsGroup, settings_config

MIB = 1024 * 1024


class Embedding(SettingsGroup):
    """How texts become vectors."""

    backend: Literal["auto", "onnx", "torch"] = "auto"
    """What runs the model. `auto` takes ONNX Runtime in 8-bit integers for the packaged model, and
    torch for any other model and for a home whose collections torch made; with a GPU, set `torch`.
    """
    threads: int = Field(default=1, ge=1, le=64)
    """Threads of one forward pass; more than the free cores makes every pass slower."""
    precision: Literal["auto", "float32", "bfloat16"] = "auto"
    """Of torch; `auto` takes bfloat16 where the processor computes in it."""
    query_batch: int = Field(default=32, ge=1, le=512)
    """The most waiting questions that one forward pass takes."""
    passage_batch: int = Field(default=16, ge=1, le=512)
    """Passages in one forward pass."""
    query_cache: int = Field(default=2048, ge=0)
    """Questions whose vectors are remembered."""
    trust_remote_code: bool = False
    """Whether a model from a hub may bring code of its own."""


class Limits(SettingsGroup):
    """What one caller, file or document may cost."""

    max_document_bytes: int = Field(default=8 * MIB, ge=1024)
    """The longest text of one document, in UTF-8."""
    max_file_bytes: int = Field(default=32 * MIB, ge=1024)
    """The largest file of an upload."""
    max_upload_bytes: int = Field(default=128 * MIB, ge=1024)
    """The largest body of an upload, all files together."""
    max_files: int = Field(default=64, ge=1)
    """Files in one upload."""
    max_unpacked_bytes: int = Field(default=512 * MIB, ge=1024)
    """What a compressed file may unpack to."""
    max_document_chunks: int = Field(default=10_000, ge=1)
    """Chunks of one document."""
    max_filter_conditions: int = Field(default=64, ge=1)
    """Tests in one metadata filter, a list's values counted one by one."""
    max_embedding_characters: int = Field(default=2_000_000, ge=1)
    """Characters of all texts of one embedding request."""
    max_waiting_writes: int = Field(default=64, ge=0)
    """Writes that may wait for their turn; one more is told to come back."""
    concurrent_writes: int = Field(default=4, ge=1)
    """Documents that are indexed at the same time."""
    parse_timeout_seconds: float = Field(default=60.0, gt=0)
    """How long one file may be parsed."""
    parse_memory_bytes: int = Field(default=3072 * MIB, ge=512 * MIB)
    """Address space of the process that parses files."""


class Cluster(SettingsGroup):
    """How a Qdrant server or cluster keeps the chunks; read when its collection is made."""

    shards: int = Field(default=1, ge=1, le=1024)
    """Parts of the collection; a few for each node that the cluster will grow to."""
    replicas: int = Field(default=1, ge=1, le=16)
    """Copies of each shard."""
    write_consistency: int = Field(default=1, ge=1, le=16)
    """Copies that a write waits for."""
    links: int = Field(default=16, ge=4, le=128)
    """Links of a chunk in the graph of its tenant's collection; there is no graph over all."""
    quantization: Literal["none", "scalar", "turbo"] = "none"
    """Smaller vectors in memory, a quarter (`scalar`) or an eighth (`turbo`) of the size; what they
    find is scored again by the whole ones."""
    vectors_on_disk: bool = False
    """Whether whole vectors and words stay on disk; sensible with quantization and a quick disk."""


class Jobs(SettingsGroup):
    """Ingestion jobs."""

    concurrent: int = Field(default=2, ge=0, le=64)
    """Jobs that are worked on at the same time; with 0 they are left to other retrievers that share
    the catalogue."""
    batch_chunks: int = Field(default=128, ge=1, le=4096)
    """Chunks after which the documents of a batch are stored together."""
    batch_files: int = Field(default=64, ge=1, le=512)
    """Documents after which a batch is stored, however few chunks they have."""
    max_open: int = Field(default=100, ge=1)
    """Jobs of one tenant that have work left; one more is told to come back."""
    max_files: int = Field(default=100_000, ge=1)
    """Files of one job."""
    max_upload_files: int = Field(default=1000, ge=1)
    """Files whose bytes come in one request."""
    max_spooled_bytes: int = Field(default=4096 * MIB, ge=1024)
    """Bytes of all tenants that may wait to be ingested; more are told to come back."""
    max_failed_bytes: int = Field(default=512 * MIB, ge=0)
    """Bytes of files that failed, kept to be tried again; the oldest go first."""
    lease_seconds: float = Field(default=15.0, gt=0)
    """How long a job stays with a worker that gives no sign of life."""
    file_patience_seconds: float = Field(default=900.0, gt=0)
    """How long a sync waits for the next bytes before the files that lack them fail."""
    slice_seconds: float = Field(default=10.0, gt=0)
    """How long a job is worked on before another that waits has its turn."""
    keep_finished_seconds: float = Field(default=7 * 86_400.0, ge=0)
    """How long a job that ended can be read, and its failed files tried again."""


class Search(SettingsGroup):
    """How the two rankings become one; the defaults were measured, see docs/retrieval.md."""

    dense_weight: float = Field(default=1.0, ge=0)
    """What the ranking by meaning counts; from 0.5 to 1.5 no set of questions differs by much."""
    lexical_weight: float = Field(default=1.0, ge=0)
    """What the ranking by words counts."""
    prefetch: int = Field(default=50, ge=1, le=1000)
    """Candidates that each ranking gives; four times as many gain 0.005 nDCG and cost a fifth."""
    expand: Literal["none", "section"] = "none"
    """Whether passages bring the section around them, unless the request says."""
    section_tokens: int = Field(default=400, ge=16, le=8192)
    """The most that a passage's section brings, in the embedding model's tokens."""
    diversity: float = Field(default=0.0, ge=0, le=1)
    """How far passages that repeat others step back, unless the request says; 0 is not at all."""


class Reranking(SettingsGroup):
    """A cross-encoder that reads the best candidates once more; off by default."""

    model: str | None = None
    """A folder or a hub id of a sentence-transformers CrossEncoder with one output."""
    candidates: int = Field(default=20, ge=1, le=100)
    """How many passages it reads for one question."""
    max_tokens: int = Field(default=512, ge=16, le=8192)
    """What it reads of question and passage together."""
    batch: int = Field(default=16, ge=1, le=512)
    """Pairs in one forward pass."""
    trust_remote_code: bool = False
    """Whether a model from a hub may bring code of its own."""


class Settings(ServiceSettings):
    """Settings of the retriever, read from `INKSTONE_RETRIEVER_*`."""

    model_config = settings_config("INKSTONE_RETRIEVER_")

    listening: Listening = Listening(port=8001)
    api_key: SecretStr
    """The key that the gateway shows; nobody else is answered."""
    data_dir: Path
    """Where the catalogue, the embedded index and the files that wait live by default."""
    catalogue_url: SecretStr | None = None
    """The catalogue: `postgresql://user:password@host/name`, which several retrievers may share, or
    SQLite in `data_dir` when unset."""
    catalogue_connections: int = Field(default=10, ge=2)
    """Connections to the catalogue that this process keeps."""
    spool_dir: Path | None = None
    """Where files wait to be ingested; retrievers that share a catalogue share this folder too.
    `spool` under `data_dir` when unset."""
    models_dir: Path | None = None
    """Where the packaged embedding model is prepared once; `models` under `data_dir` when unset."""
    embedding_model: str = "multilingual-e5-small"
    """The packaged model, a folder, or a hub id of a sentence-transformers model."""
    previous_embedding_model: str | None = None
    """The model that ran before, which answers for its collections until the new one has them."""
    qdrant_url: str | None = None
    """A Qdrant server or cluster; the embedded core is used when unset."""
    qdrant_api_key: SecretStr | None = None
    """The key of that server."""
    cluster: Cluster = Cluster()
    index_flush_seconds: float = Field(default=5.0, gt=0)
    """How much of the embedded index a power cut may cost; the next start makes that anew."""
    index_tune_after: int = Field(default=10_000, ge=0)
    """Changed chunks from which on the embedded index is copied and laid out for quicker searches,
    once they are a fifth of it (all of it, while writing goes on); 0 is never."""
    index_look_seconds: float = Field(default=10.0, gt=0)
    """How often the embedded index is asked how much has changed; one that has not since the last
    time is at rest."""
    chunk_tokens: int = Field(default=200, ge=16, le=8192)
    """The longest chunk, in the embedding model's tokens; the model's own limit holds as well."""
    chunk_overlap_tokens: int = Field(default=32, ge=0)
    """Tokens that neighbouring chunks of one section share."""
    embedding: Embedding = Embedding()
    limits: Limits = Limits()
    jobs: Jobs = Jobs()
    search: Search = Search()
    reranking: Reranking = Reranking()

    @property
    def catalogue(self) -> str:
        """The catalogue's URL, defaults resolved."""
        if self.catalogue_url is not None:
            return self.catalogue_url.get_secret_value()
        return f"sqlite:///{self.data_dir / 'catalogue.sqlite3'}"

    @property
    def spool(self) -> Path:
        """Where files wait, defaults resolved."""
        return self.spool_dir or self.data_dir / "spool"

    @model_validator(mode="after")
    def _shares_everything_or_nothing(self) -> Settings:
        lacking = [name for name in ("qdrant_url", "spool_dir") if getattr(self, name) is None]
        if lacking and not self.catalogue.startswith("sqlite"):
            raise ValueError(
                "a catalogue on Postgres may have several retrievers, which share the index and "
                f"the files that wait as well: set {' and '.join(lacking)} too"
            )
        return self

    @property
    def prepared_models_dir(self) -> Path:
        """Where prepared models lie."""
        return self.models_dir or self.data_dir / "models"

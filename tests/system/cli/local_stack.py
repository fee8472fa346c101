"""The whole stack as `inkstone up` runs it, for tests that speak to it as an app would."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

REPOSITORY = Path(__file__).parents[3]
EXAMPLES = REPOSITORY / "examples"
READY_SECONDS = 500
STOP_SECONDS = 60
PROCESSES = 6
"""Gateway, retriever and its index, agent and its engine, tuner: at least so many run."""


@dataclass
class LocalStack:
    """A supervisor in a process of its own."""

    process: subprocess.Popen[str]
    home: Path
    url: str
    output: list[str] = field(default_factory=list)
    ready: threading.Event = field(default_factory=threading.Event)

    def key(self, name: str) -> str:
        return (self.home / "keys" / f"{name}.key").read_text().strip()

    @property
    def text(self) -> str:
        return "".join(self.output)

    def follow(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.output.append(line)
            if "Ctrl-C stops everything" in line:
                self.ready.set()
        self.ready.set()

    def descendants(self, marker: str = "") -> list[int]:
        """Find the processes under the supervisor whose command line holds a marker."""
        children: dict[int, list[int]] = {}
        for entry in Path("/proc").iterdir():
            if entry.name.isdigit():
                with suppress(OSError):
                    after_name = (entry / "stat").read_text().rpartition(")")[2].split()
                    children.setdefault(int(after_name[1]), []).append(int(entry.name))
        found, pending = [], [self.process.pid]
        while pending:
            below = children.get(pending.pop(), [])
            found += below
            pending += below
        return [pid for pid in found if marker in _command_of(pid)]


def _left_of(pids: list[int]) -> list[str]:
    """Give orphans a moment to be reaped, and name those that are still there."""
    deadline = time.monotonic() + STOP_SECONDS
    while (left := [pid for pid in pids if _runs(pid)]) and time.monotonic() < deadline:
        time.sleep(0.1)
    return [_command_of(pid) for pid in left]


def _runs(pid: int) -> bool:
    """Tell whether a process is there and is no zombie that waits for its reaper."""
    with suppress(OSError):
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    return False


def _command_of(pid: int) -> str:
    with suppress(OSError):
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode()
    return "gone"


@contextmanager
def local_stack(home: Path) -> Iterator[LocalStack]:
    """Run `inkstone up` on a home of its own; stop it with Ctrl-C and expect a clean end."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    models = os.environ.get("INKSTONE_MODELS_DIR", str(REPOSITORY / ".inkstone" / "models"))
    process = subprocess.Popen(
        [sys.executable, "-m", "services.cli.main", "up"],
        cwd=REPOSITORY,
        env={
            **os.environ,
            "INKSTONE_HOME": str(home),
            "INKSTONE_PORT": str(port),
            "INKSTONE_MODELS_DIR": models,
            "COLUMNS": "160",
        },
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    stack = LocalStack(process, home, f"http://127.0.0.1:{port}")
    reader = threading.Thread(target=stack.follow, daemon=True)
    reader.start()
    try:
        assert stack.ready.wait(READY_SECONDS), stack.text
        assert process.poll() is None, stack.text
        yield stack
        started = stack.descendants()
        assert len(started) >= PROCESSES
        process.send_signal(signal.SIGINT)
        process.wait(STOP_SECONDS)
        assert process.returncode == 0, stack.text
        assert _left_of(started) == []
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGINT)
        try:
            process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            raise
        finally:
            reader.join(5)
            assert process.stdout is not None
            process.stdout.close()

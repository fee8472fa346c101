"""A tuner as a process of its own, which may be killed or stopped and started again."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from pathlib import Path

from tests.service.gateway.gateway import GatewayUnderTest

STOP_SECONDS = 60.0


class Tuner:
    """The process that runs at present."""

    def __init__(
        self, base: Path, folder: Path, *arguments: str, url: str, key: str, artifacts: str
    ) -> None:
        self._arguments = arguments
        self._environment = {
            **os.environ,
            "INKSTONE_TUNER_GATEWAY_URL": url,
            "INKSTONE_TUNER_API_KEY": key,
            "INKSTONE_TUNER_ARTIFACTS_URL": artifacts,
            "INKSTONE_TUNER_DATA_DIR": str(folder),
            "INKSTONE_TUNER_BASE_MODEL": str(base),
            "INKSTONE_TUNER_WORKER": "w1",
            "INKSTONE_TUNER_POLL_SECONDS": "0.2",
            "INKSTONE_TUNER_REPORT_SECONDS": "0.1",
            "INKSTONE_TUNER_MIN_FREE_BYTES": "0",
            "INKSTONE_TUNER_LISTENING__PORT": "0",
        }
        self._log = folder.with_suffix(".log")
        self.process = self._started()

    @classmethod
    def of(cls, gateway: GatewayUnderTest, base: Path, folder: Path) -> Tuner:
        """Start a tuner that works for a gateway under test."""
        artifacts = gateway.settings.artifact_store_url
        key = gateway.secrets["tuner"]
        return cls(base, folder, url=gateway.base_url, key=key, artifacts=artifacts)

    def _started(self) -> subprocess.Popen[bytes]:
        with self._log.open("ab") as log:
            command = [sys.executable, "-m", "services.tuner", *self._arguments]
            return subprocess.Popen(command, env=self._environment, stdout=log, stderr=log)

    def kill(self) -> None:
        """Kill the process and start another one."""
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()
        self.process = self._started()

    def stop(self) -> int:
        """Stop the process, and return its status."""
        with contextlib.suppress(ProcessLookupError):
            self.process.terminate()
        return self.process.wait(STOP_SECONDS)

"""`make test` runs in two parts, and `make test-again` what failed in either."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FAILED = '{"tests/system/test_a.py::test_b": true}'

STAND_IN = f"""#!/bin/sh
case "$*" in
  *tests/unit*) ended=$FIRST ;;
  *tests/system*) ended=$SECOND ;;
esac
echo "$@" >> runs
mkdir -p .pytest_cache/v/cache
[ $ended -ne 1 ] || echo '{FAILED}' > .pytest_cache/v/cache/lastfailed
exit $ended
"""


def made_test(folder: Path, first: int, second: int) -> tuple[int, int, bool]:
    """Run `make test` with a stand-in of pytest.

    Returns:
        make's status, how many parts ran, and whether anything is left to run again.
    """
    shutil.copy(ROOT / "Makefile", folder)
    pytest_ = folder / "pytest"
    pytest_.write_text(STAND_IN)
    pytest_.chmod(0o755)
    done = subprocess.run(
        ["make", "test", f"BIN={folder}", "-o", "setup", "-o", "prometheus"],
        cwd=folder,
        env={"PATH": "/usr/bin:/bin", "FIRST": str(first), "SECOND": str(second)},
        capture_output=True,
        check=False,
    )
    parts = len((folder / "runs").read_text().splitlines())
    return done.returncode, parts, (folder / ".pytest_cache/v/cache/lastfailed").exists()


def test_both_parts_pass(tmp_path: Path) -> None:
    assert made_test(tmp_path, 0, 0) == (0, 2, False)


@pytest.mark.parametrize(("first", "second"), [(1, 0), (0, 1), (1, 1)])
def test_what_fails_in_either_part_is_left_to_run_again(
    tmp_path: Path, first: int, second: int
) -> None:
    assert made_test(tmp_path, first, second) == (2, 2, True)


@pytest.mark.parametrize("crash", [2, 3, 137])
def test_a_part_that_did_not_run_to_its_end_leaves_nothing_to_pass_a_second_time(
    tmp_path: Path, crash: int
) -> None:
    for number, (first, second, parts) in enumerate([(crash, 1, 1), (1, crash, 2)]):
        folder = tmp_path / str(number)
        folder.mkdir()
        assert made_test(folder, first, second) == (2, parts, False)

"""Write what comes from the code: pages of docs/, dashboards and alerts of deploy/.

python tools/reference.py            writes them
python tools/reference.py --check    says which are out of date, and fails
"""

from __future__ import annotations

import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from tools.monitoring.files import monitoring_files  # noqa: E402
from tools.reference_errors import errors_page  # noqa: E402
from tools.reference_metrics import metrics_page  # noqa: E402
from tools.reference_settings import settings_page  # noqa: E402


def main() -> int:
    """Write the files, or compare them."""
    check = "--check" in sys.argv[1:]
    stale = []
    files = {
        "docs/settings.md": settings_page(),
        "docs/metrics.md": metrics_page(),
        "docs/errors.md": errors_page(ROOT / "services"),
        **monitoring_files(),
    }
    for name, text in files.items():
        path = ROOT / name
        if not path.exists() or path.read_text() != text:
            stale.append(name)
            if not check:
                path.write_text(text)
    for name in stale:
        verb = "is out of date; run python tools/reference.py" if check else "written"
        sys.stdout.write(f"{name} {verb}\n")
    return 1 if check and stale else 0


if __name__ == "__main__":
    sys.exit(main())

"""Print the shape of the code beside the figures that docs/architecture.md aims at."""

from __future__ import annotations

import ast
import statistics
import sys
from pathlib import Path


def _files() -> list[Path]:
    return sorted(p for p in Path("services").rglob("*.py") if "versions" not in p.parts)


def _percentile(values: list[int], share: float) -> int:
    return sorted(values)[min(len(values) - 1, int(len(values) * share))]


def main() -> None:
    """Count and print."""
    lengths: list[int] = []
    functions: list[int] = []
    global_statements = broad = comments = 0
    for path in _files():
        text = path.read_text()
        lines = text.splitlines()
        lengths.append(len(lines))
        comments += sum(line.lstrip().startswith("#") for line in lines)
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                functions.append((node.end_lineno or node.lineno) - node.lineno + 1)
            global_statements += isinstance(node, ast.Global)
            if isinstance(node, ast.ExceptHandler) and isinstance(node.type, ast.Name):
                broad += node.type.id in ("Exception", "BaseException")
    tests = [p.read_text() for p in Path("tests").rglob("test_*.py")]
    count = sum(text.count("def test_") for text in tests)
    total = sum(lengths)
    rows = [
        ("files", f"{len(lengths)}", ""),
        ("lines", f"{total}", ""),
        ("file length, median", f"{statistics.median(lengths):.0f}", "about 100"),
        ("file length, p95", f"{_percentile(lengths, 0.95)}", "250-370"),
        ("file length, largest", f"{max(lengths)}", "about 450"),
        ("function length, p95", f"{_percentile(functions, 0.95)}", "37-45"),
        ("global statements", f"{global_statements}", "0"),
        ("broad excepts per kLOC", f"{broad / total * 1000:.2f}", "1, in named loops"),
        ("comment lines per kLOC", f"{comments / total * 1000:.0f}", "about 20"),
        ("tests", f"{count}", ""),
    ]
    for label, ours, aim in rows:
        sys.stdout.write(f"{label:<26}{ours:>8}   {aim}\n")


if __name__ == "__main__":
    main()

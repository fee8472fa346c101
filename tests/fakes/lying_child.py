"""A child that was taken over: it answers with an object that its parent would have to build."""

from __future__ import annotations

import sys
from pathlib import PurePosixPath

from services.retriever.answers import answer_parent
from services.retriever.parsing.outcomes import FileCode, Refused

if __name__ == "__main__":
    answer_parent(
        int(sys.argv[1]),
        {
            "honest": lambda: Refused(FileCode.EMPTY, "x"),
            "lying": lambda: PurePosixPath("/etc/passwd"),
        },
    )

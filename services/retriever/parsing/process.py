"""The child process that reads strangers' files, its memory and each file's time bounded; run as
`python -m services.retriever.parsing.process SOCKET MEMORY_BYTES SECONDS UNPACKED_BYTES`.
"""

from __future__ import annotations

import resource
import sys

from services.retriever.answers import answer_parent
from services.retriever.parsing.outcomes import FileCode, Parsed, Refused, RefusedError
from services.retriever.parsing.reading import read_file


def main() -> None:
    """Bound the process, and answer until the parent goes away."""
    descriptor, memory, seconds, unpacked = map(int, sys.argv[1:5])
    resource.setrlimit(resource.RLIMIT_AS, (memory, memory))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    # It reads; whatever a file makes it do, it writes none.
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))

    def parse(name: str, content: bytes) -> Parsed | Refused:
        _bound_time(seconds)
        try:
            return read_file(name, content, unpacked)
        except RefusedError as error:
            return error.refusal
        except MemoryError:
            return Refused(
                FileCode.TOO_COMPLEX, "The file takes more memory to read than allowed; split it."
            )
        except RecursionError:
            return Refused(
                FileCode.TOO_COMPLEX, "The file is nested too deeply; send it in a simpler form."
            )

    answer_parent(descriptor, {"parse": parse})


def _bound_time(seconds: int) -> None:
    """Let the kernel end this process if the parent is no longer there to do it."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    spent = int(used.ru_utime + used.ru_stime)
    _, hard = resource.getrlimit(resource.RLIMIT_CPU)
    resource.setrlimit(resource.RLIMIT_CPU, (spent + 2 * seconds, hard))


if __name__ == "__main__":
    main()

"""How fast each kind of file is read, and which files come out mangled.

Files are those under `--data`: the odd documents and the filings that lie there as they are, and
the passages and rows that lie there as JSON lines, written to files of the other kinds first. Times
are of the processor, in one thread, the median of `--repeat` rounds over all files of a kind.

    python benchmarks/parsing.py [--data DIR] [--repeat 3]
"""

from __future__ import annotations

import argparse
import csv
import io
import json
import statistics
import sys
import time
import unicodedata
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from email.message import EmailMessage
from html import escape
from pathlib import Path

from services.retriever.parsing.kinds import kind_of
from services.retriever.parsing.outcomes import Parsed, RefusedError
from services.retriever.parsing.reading import read_file

DATA = Path(__file__).parents[2] / "shared" / "data"
UNPACKED_BYTES = 512 * 1024 * 1024
MOST_ODD = 0.001
"""The share of characters from which a text is called mangled."""

MIB = 1024 * 1024
ROWS = 4000

FORMATS = "http://schemas.openxmlformats.org/"
RELATIONS = "officeDocument/2006/relationships"


@dataclass(frozen=True)
class File:
    """One file to read."""

    name: str
    content: bytes
    expect: str = "ok"
    says: tuple[str, ...] = ()
    """What its text must hold, white space apart."""


@dataclass
class Kind:
    """What was measured of the files of one kind."""

    files: int = 0
    size: int = 0
    characters: int = 0
    seconds: list[float] = field(default_factory=list)


def main() -> int:
    """Measure and print two tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, default=DATA)
    parser.add_argument("--repeat", type=int, default=3)
    chosen = parser.parse_args()
    if not chosen.data.is_dir():
        print(f"nothing under {chosen.data}; name a folder with --data")
        return 0
    kinds: dict[str, Kind] = {}
    wrong: list[str] = []
    for file in [*_as_they_are(chosen.data), *_written(chosen.data)]:
        _measure(file, chosen.repeat, kinds, wrong)
    print("| kind | files | MB | MB/s | characters/s |\n|---|---:|---:|---:|---:|")
    for name, kind in sorted(kinds.items()):
        seconds = sum(kind.seconds)
        speed, rate = kind.size / MIB / seconds, kind.characters / seconds
        print(f"| {name} | {kind.files} | {kind.size / MIB:.1f} | {speed:.1f} | {rate:,.0f} |")
    print("\nmangled or not as expected:", *(wrong or ["none"]), sep="\n- ")
    return 0


def _measure(file: File, repeat: int, kinds: dict[str, Kind], wrong: list[str]) -> None:
    seconds = []
    for _ in range(repeat):
        started = time.process_time()
        try:
            outcome: Parsed | str = read_file(file.name, file.content, UNPACKED_BYTES)
        except RefusedError as error:
            outcome = error.refusal.code.value
        seconds.append(time.process_time() - started)
    if isinstance(outcome, str):
        if file.expect in ("ok", "encrypted-empty"):
            wrong.append(f"{file.name}: {outcome}")
        return
    if (share := _odd_share(outcome.text)) > MOST_ODD:
        wrong.append(f"{file.name}: {share:.1%} of its characters are no letters of any script")
    read = _squeezed(outcome.text)
    lost = sum(_squeezed(each) not in read for each in file.says)
    if lost:
        wrong.append(
            f"{file.name}: {lost} of {len(file.says)} passages or cells are not in its text"
        )
    if file.expect not in ("ok", "encrypted-empty", "malformed"):
        wrong.append(f"{file.name}: read, though {file.expect}")
    kind = kinds.setdefault(kind_of(file.name, file.content, UNPACKED_BYTES).value, Kind())
    kind.files += 1
    kind.size += len(file.content)
    kind.characters += len(outcome.text)
    kind.seconds.append(statistics.median(seconds))


def _odd_share(text: str) -> float:
    """Measure what decoding or extraction leaves behind when it goes wrong."""
    odd = sum(
        char == "\ufffd" or unicodedata.category(char) in ("Co", "Cn", "Cs")
        for char in text
        if ord(char) > 127
    )
    return odd / len(text)


def _as_they_are(data: Path) -> Iterator[File]:
    manifest = data / "odd_docs" / "manifest.jsonl"
    for row in _lines(manifest):
        yield File(Path(row["file"]).name, (data / row["file"]).read_bytes(), row["expect"])
    for path in sorted((data / "sec10q_pdf").glob("*.pdf")):
        yield File(path.name, path.read_bytes())


def _squeezed(text: str) -> str:
    return "".join(unicodedata.normalize("NFC", text).split())


def _written(data: Path) -> Iterator[File]:
    """Write passages and rows to files of the kinds that do not lie there."""
    for row in _lines(data / "handbook_18f_md.jsonl"):
        yield File(Path(row["path"]).name, row["text"].encode())
    texts = tuple(
        f"{row['title']}\n\n{row['text']}".encode("cp949", "ignore").decode("cp949")
        for row in _lines(data / "korquad_dev_passages.jsonl")
    )
    if texts:
        whole = "\n\n".join(texts)
        apart = unicodedata.normalize("NFD", whole)
        page = "".join(f"<h2>{escape(t[:20])}</h2><p>{escape(t)}</p>" for t in texts)
        mail = EmailMessage()
        mail["Subject"] = "passages"
        mail.set_content(whole, charset="utf-8", cte="base64")
        yield File("utf-8 apart.txt", apart.encode(), says=texts)
        yield File("utf-16.txt", whole.encode("utf-16-le"), says=texts)
        yield File("cp949.txt", whole.encode("cp949"), says=texts)
        yield File("cp949.html", f"<html><body>{page}</body></html>".encode("cp949"), says=texts)
        yield File("passages.docx", _docx(texts), says=texts)
        yield File("passages.eml", mail.as_bytes(), says=texts)
    yield from _tables([*_lines(data / "nsmc_train.jsonl")][:ROWS])


def _tables(found: Sequence[Mapping[str, object]]) -> Iterator[File]:
    if not found:
        return
    names = [*found[0]]
    cells = [[str(row.get(name, "")) for name in names] for row in found]
    says = tuple(cell for row in cells for cell in row)
    for name, separator in (("rows.csv", ","), ("semicolons.csv", ";"), ("rows.tsv", "\t")):
        written = io.StringIO()
        csv.writer(written, delimiter=separator).writerows([names, *cells])
        yield File(name, written.getvalue().encode(), says=says)
    yield File("rows.xlsx", _xlsx([names, *cells]), says=says)
    yield File("rows.json", json.dumps(found, ensure_ascii=False).encode(), says=says)
    yield File("rows.jsonl", "\n".join(json.dumps(row) for row in found).encode(), says=says)


def _docx(texts: Sequence[str]) -> bytes:
    inside = "".join(f"<w:p><w:r><w:t>{escape(text)}</w:t></w:r></w:p>" for text in texts)
    body = f'<w:document xmlns:w="{FORMATS}wordprocessingml/2006/main">{inside}</w:document>'
    return _package("word/document.xml", body)


def _xlsx(rows: Sequence[Sequence[str]]) -> bytes:
    lines = "".join(
        "<row>"
        + "".join(f'<c t="inlineStr"><is><t>{escape(cell)}</t></is></c>' for cell in row)
        + "</row>"
        for row in rows
    )
    space = f'xmlns="{FORMATS}spreadsheetml/2006/main"'
    sheets = f'<sheets><sheet name="rows" r:id="r1" xmlns:r="{FORMATS}{RELATIONS}"/></sheets>'
    return _package(
        "xl/workbook.xml",
        f"<workbook {space}>{sheets}</workbook>",
        **{
            "xl/rows.xml": f"<worksheet {space}><sheetData>{lines}</sheetData></worksheet>",
            "xl/_rels/workbook.xml.rels": _related("worksheet", "rows.xml"),
        },
    )


def _package(main: str, content: str, **more: str) -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("_rels/.rels", _related("officeDocument", main))
        for name, part in {main: content, **more}.items():
            file.writestr(name, part)
    return packed.getvalue()


def _related(kind: str, target: str) -> str:
    relation = f'<Relationship Id="r1" Type="{FORMATS}{RELATIONS}/{kind}" Target="{target}"/>'
    space = f"{FORMATS}package/2006/relationships"
    return f'<Relationships xmlns="{space}">{relation}</Relationships>'


def _lines(path: Path) -> Iterator[dict[str, str]]:
    if path.is_file():
        with path.open(encoding="utf-8") as file:
            yield from map(json.loads, file)


if __name__ == "__main__":
    sys.exit(main())

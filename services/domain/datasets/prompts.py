"""What instructs the model in training, against what will instruct it when it serves."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence

from services.contracts.assistants import Profile
from services.contracts.datasets import Finding
from services.domain.datasets.examples import Example
from services.domain.datasets.findings import Kind, share
from services.domain.rendering import compose

OTHER = Kind(
    "system_prompt_mismatch",
    "error",
    "Train with the system text that the assistant serves with, or change the profile first.",
)
SEVERAL = Kind(
    "several_system_prompts",
    "warning",
    "Use the one system text that the adapter will be served with.",
)
UNGROUNDED = Kind(
    "no_passages",
    "warning",
    "Put retrieved passages into the prompts, as the assistant will be served with them.",
)


def system_of(profile: Profile) -> str:
    """Tell what instructs the model when it serves under a profile."""
    rendered = compose(profile, [], [], grounded=False)
    return str(rendered[0]["content"]) if rendered and rendered[0]["role"] == "system" else ""


def prompts(
    examples: Sequence[Example], system: str | None, *, grounded: bool
) -> Iterator[Finding]:
    """Compare the instructions of the rows.

    Args:
        system: what the assistant serves with; None when it is not known.
        grounded: whether the assistant serves with retrieved passages.
    """
    counts = Counter(example.system.strip() for example in examples)
    if system is None:
        if len(counts) > 1:
            yield SEVERAL.found(f"the rows have {len(counts)} different system texts")
    elif other := [one.line for one in examples if one.system.strip() != system.strip()]:
        told = f"{share(len(other), len(examples))} have another system text than the assistant"
        yield OTHER.found(told, other)
    if grounded:
        bare = [example.line for example in examples if "[1]" not in example.asked]
        if len(bare) > len(examples) / 2:
            yield UNGROUNDED.found(f"{share(len(bare), len(examples))} show no passage", bare)

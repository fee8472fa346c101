"""What the fake engine shows of itself, named as in vLLM 0.32 (vllm/v1/metrics/loggers.py)."""

from __future__ import annotations

from collections.abc import Iterator

COUNTERS = {
    "vllm:prompt_tokens_total": 40,
    "vllm:generation_tokens_total": 10,
    "vllm:prefix_cache_queries_total": 40,
    "vllm:prefix_cache_hits_total": 30,
    "vllm:num_preemptions_total": 0,
}
"""How far each counter goes with one answer."""

HISTOGRAMS = (
    "vllm:time_to_first_token_seconds",
    "vllm:inter_token_latency_seconds",
    "vllm:request_queue_time_seconds",
    "vllm:request_prefill_time_seconds",
)
"""Each answer is one observation of a hundredth of a second."""


def exposition(model: str, running: int, waiting: int, answers: int) -> str:
    """Write the engine's figures as Prometheus reads them."""
    lines = _lines(f'engine="0",model_name="{model}"', running, waiting, answers)
    return "".join(f"{line}\n" for line in lines)


def _lines(labels: str, running: int, waiting: int, answers: int) -> Iterator[str]:
    yield f"vllm:num_requests_running{{{labels}}} {float(running)}"
    yield f"vllm:num_requests_waiting{{{labels}}} {float(waiting)}"
    yield f"vllm:kv_cache_usage_perc{{{labels}}} 0.1"
    yield f'vllm:request_success_total{{{labels},finished_reason="stop"}} {float(answers)}'
    for name, each in COUNTERS.items():
        yield f"{name}{{{labels}}} {float(each * answers)}"
    for name in HISTOGRAMS:
        for bound in ("0.01", "+Inf"):
            yield f'{name}_bucket{{{labels},le="{bound}"}} {float(answers)}'
        yield f"{name}_sum{{{labels}}} {answers / 100}"
        yield f"{name}_count{{{labels}}} {float(answers)}"

"""What the engine refuses in a completion request, in the words of vLLM 0.32."""

from __future__ import annotations

from typing import Any

from tests.fakes.engine_replies import bad_request, malformed

MAX_SALT = 128
FORBIDDEN_IN_SALT = frozenset("@/\\\0")


def validate_shape(body: dict[str, Any], path: str, *, parses_tools: bool) -> None:
    """Refuse a body that lacks what the route needs; comes before the model is looked up."""
    needed = "messages" if path.endswith("/chat/completions") else "prompt"
    if needed not in body:
        raise malformed("Field required", f"body.{needed}")
    salt = body.get("cache_salt")
    if salt is not None and (not salt or len(salt) > MAX_SALT or FORBIDDEN_IN_SALT & set(salt)):
        raise bad_request("Parameter 'cache_salt' is not one that is allowed.", "cache_salt")
    salt = body.get("cache_salt") or ""
    if len(salt) > 128 or any(character in salt for character in "@/\\\0"):
        message = (
            "Parameter 'cache_salt' must be at most 128 characters and must not contain '@', '/', "
            "'\\\\', or NUL."
        )
        raise bad_request(message, "cache_salt")
    if body.get("tools") and not parses_tools and body.get("tool_choice", "auto") == "auto":
        raise bad_request(
            '"auto" tool choice requires --enable-auto-tool-choice and --tool-call-parser to be set'
        )


def validate_values(body: dict[str, Any], base_model: str, max_model_len: int) -> None:
    """Refuse values that cannot be served; comes after the model is looked up."""
    if body.get("messages") == []:
        raise bad_request(
            "Cannot apply chat template to an empty conversation. Provide at least one message."
        )
    if any(_has_image(turn) for turn in body.get("messages", [])):
        raise bad_request(f"{base_model} is not a multimodal model")
    limit = body.get("max_completion_tokens", body.get("max_tokens"))
    if limit is not None and limit < 1:
        raise bad_request(f"max_tokens must be at least 1, got {limit}.", "max_tokens")
    if limit is not None and limit > max_model_len:
        message = f"max_tokens={limit} cannot be greater than max_model_len={max_model_len}."
        raise bad_request(message, "max_tokens")
    temperature = body.get("temperature")
    if temperature is not None and temperature < 0:
        raise bad_request(
            f"temperature must be non-negative, got {float(temperature)}.", "temperature"
        )
    if temperature == 0 and (body.get("n") or 1) > 1:
        raise bad_request(f"n must be 1 when using greedy sampling, got {body['n']}.")


def _has_image(turn: dict[str, Any]) -> bool:
    content = turn.get("content")
    return isinstance(content, list) and any(part.get("type") == "image_url" for part in content)

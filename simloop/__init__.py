"""simloop: closed-loop, simulation-in-the-loop testing of model agents under realistic latency."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from simloop.latency_wrapper import LatencyWrapper

__all__ = ["LatencyWrapper"]


def __getattr__(name: str) -> Any:
    # Only when it is asked for: `import simloop` loads neither numpy nor Gymnasium.
    if name == "LatencyWrapper":
        from simloop.latency_wrapper import LatencyWrapper

        return LatencyWrapper
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")

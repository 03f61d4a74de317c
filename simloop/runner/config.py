"""How a run is executed; nothing here changes what happens in an episode."""

from __future__ import annotations

import enum
from dataclasses import dataclass

from simloop.errors import ParameterError


class Executor(enum.Enum):
    """Where episodes are run."""

    IN_PROCESS = "in_process"
    RAY = "ray"


@dataclass(frozen=True, slots=True, kw_only=True)
class RunnerConfig:
    """How a run is executed.

    Attributes:
        executor: ``in_process`` or ``ray``.
        workers: Worker processes; 0 means one for each core.
        interleave: Episodes that a worker holds at once at most (a world may allow fewer); 1 turns batching off.
        call_limit_s: Wall limit of one uninterrupted call of world or agent.
        max_tries: How often an episode is started before an infrastructure error is final.
        address: Address of a Ray that runs already; None starts one. Its workers must be on the driver's machine, since
            they announce their calls through a local file; a cluster over several machines is untested.
        recycle_after: Episodes after which a Ray worker is replaced; 0 means never.

    Raises:
        ParameterError: A value is out of range.
    """

    executor: str = "ray"
    workers: int = 0
    interleave: int = 16
    call_limit_s: float = 300.0
    max_tries: int = 2
    address: str | None = None
    recycle_after: int = 2000

    def __post_init__(self) -> None:
        allowed = [e.value for e in Executor]
        if self.executor not in allowed:
            raise ParameterError(f"runner.executor is {self.executor!r}; allowed: {', '.join(allowed)}.")
        for name, low in (("workers", 0), ("interleave", 1), ("max_tries", 1), ("recycle_after", 0)):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int) or value < low:
                raise ParameterError(f"runner.{name} is {value!r}; allowed: a whole number >= {low}.")
        if not self.call_limit_s > 0:
            raise ParameterError(f"runner.call_limit_s is {self.call_limit_s!r}; allowed: seconds > 0.")

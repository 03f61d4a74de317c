"""Sensors that a world has on demand: their common part, and the check of the options that they take."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any, ClassVar, TypeVar

import numpy as np
import numpy.typing as npt

from simloop.errors import ConfigurationError
from simloop.world import SensorKind, SensorSpec
from simloop_driving.sensors.snapshot import Snapshot

STEP_MS = 10
"""Periods and ages are multiples of the physics period."""
_NS_PER_MS = 1_000_000


def number(default: float, low: float, high: float, *, multiple_of: int = 0) -> Any:
    """Declares an option that is a number from ``low`` to ``high``, a whole one if ``default`` is an int."""
    return field(default=default, metadata={"low": low, "high": high, "multiple_of": multiple_of})


@dataclass(frozen=True, slots=True, kw_only=True)
class ExtraSensor(ABC):
    """A sensor that a world has only if it is asked for; its fields are its options.

    Attributes:
        name: Key of its frames in an observation.
        period_ms: Time between two captures.
        age_ms: How old the state is that a capture shows: what the sensor needs to make its data. Before that time
            it shows the first state.
    """

    type_name: ClassVar[str]

    name: str
    period_ms: int = number(50, STEP_MS, 10_000, multiple_of=STEP_MS)
    age_ms: int = number(0, 0, 10_000, multiple_of=STEP_MS)

    @property
    @abstractmethod
    def spec(self) -> SensorSpec:
        """Layout of the frames."""

    @abstractmethod
    def read(self, snapshot: Snapshot, index: int) -> npt.NDArray[Any]:
        """Makes the array of capture ``index`` from a frozen state."""

    def draws(self, snapshot: Snapshot, index: int) -> np.random.Generator:
        """Returns the generator of a capture's noise and drop-out."""
        return snapshot.episode.draws(self.name, index)

    def draws_of_episode(self, snapshot: Snapshot) -> np.random.Generator:
        """Returns the generator of what is drawn once an episode."""
        return snapshot.episode.draws(f"{self.name}.episode", 0)

    def make_spec(
        self,
        kind: SensorKind,
        shape: tuple[int, ...],
        description: str,
        *,
        dtype: str = "float64",
        is_privileged: bool = False,
    ) -> SensorSpec:
        """Returns the spec with this sensor's name and period."""
        return SensorSpec(
            name=self.name,
            kind=kind,
            shape=shape,
            dtype=dtype,
            period_ns=self.period_ms * _NS_PER_MS,
            payload_bytes=math.prod(shape) * np.dtype(dtype).itemsize,
            is_privileged=is_privileged,
            description=description,
        )


_SensorT = TypeVar("_SensorT", bound=ExtraSensor)


def sensor_from_options(
    sensor: type[_SensorT], name: str, options: Mapping[str, Any], where: str
) -> _SensorT:
    """Makes a sensor from plain options.

    Args:
        sensor: Its class.
        name: Key of its frames.
        options: Value by name of a field of the class.
        where: Place of the options, for messages.

    Raises:
        ConfigurationError: An option is unknown, of a wrong type or out of range; names it, what was got and what
            is allowed.
    """
    allowed = {item.name: item for item in fields(sensor) if item.metadata}
    values: dict[str, Any] = {}
    for key, value in options.items():
        if key not in allowed:
            raise ConfigurationError(
                f"{where} has no option {key!r}; there are: {', '.join(('type', *sorted(allowed)))}."
            )
        values[key] = _checked(value, allowed[key].default, allowed[key].metadata, f"{where}.{key}")
    return sensor(name=name, **values)


def _checked(value: Any, default: Any, bounds: Mapping[str, Any], place: str) -> Any:
    is_whole = isinstance(default, int)
    low, high = bounds["low"], bounds["high"]
    multiple_of = bounds["multiple_of"]
    allowed = f"{'whole numbers' if is_whole else 'numbers'} from {low:g} to {high:g}"
    if multiple_of:
        allowed = f"multiples of {multiple_of} from {low:g} to {high:g}"
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    if (
        not is_number
        or not low <= value <= high
        or (is_whole and value != int(value))
        or (multiple_of and value % multiple_of)
    ):
        raise ConfigurationError(f"{place} is {value!r}; allowed: {allowed}.")
    return int(value) if is_whole else float(value)

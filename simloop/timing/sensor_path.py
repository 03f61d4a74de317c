"""The way of one sensor's captures during one episode: when they are made, and when they reach the assembly."""

from __future__ import annotations

from simloop.clock import NS_PER_S
from simloop.timing.distribution import Durations, Sampler
from simloop.timing.process import Key
from simloop.timing.settings import Timing
from simloop.world import SensorSpec


class SensorPath:
    """One sensor of the episode: when it captures and when its captures reach the assembly.

    Attributes:
        period_ns: Time between two captures.
        phase_ns: Instant of the first capture.
        stamp_offset_ns: Reported time stamp minus the instant of the state that a capture shows; it enters the ages
            that the agent is told.
        constant_delay_ns: Time from a capture to its arrival if nothing is ever dropped or lost and it is always the
            same, else None.
    """

    __slots__ = (
        "_control_period_ns",
        "_delay_ns",
        "_dropped",
        "_durations",
        "_fixed_ns",
        "_lost",
        "_rate_bps",
        "_sampler",
        "constant_delay_ns",
        "period_ns",
        "phase_ns",
        "stamp_offset_ns",
    )

    def __init__(self, sensor: SensorSpec, timing: Timing, key: Key, control_period_ns: int) -> None:
        capture = timing.capture_of(sensor.kind)
        transport = timing.transport_of(sensor.kind)
        self.period_ns = sensor.period_ns if capture.period_ns is None else capture.period_ns
        self.phase_ns = capture.phase_ns
        self.stamp_offset_ns = capture.stamp_offset_ns
        self._control_period_ns = control_period_ns
        self._fixed_ns = capture.latency_ns
        self._rate_bps = transport.rate_bps
        self._delay_ns = transport.delay.constant_ns
        drop = capture.drop if timing.losses else None
        loss = transport.loss if timing.losses else None
        self._dropped = drop.draws((*key, "drop")) if drop is not None else None
        self._lost = loss.draws((*key, "loss")) if loss is not None else None
        self._durations: Durations | None = None
        self._sampler: Sampler | None = None
        if self._delay_ns is None:
            if transport.delay.is_independent and loss is None and self._rate_bps is None:
                self._durations = transport.delay.durations(key)
            else:
                self._sampler = transport.delay.sampler(key)
        self.constant_delay_ns = None
        if self._delay_ns is not None and drop is None and loss is None:
            self.constant_delay_ns = self._fixed_ns + self._delay_ns + self._sending_ns(sensor.payload_bytes)

    def _tick(self, index: int) -> int:
        """Returns the control tick into which a capture falls."""
        return (self.phase_ns + index * self.period_ns) // self._control_period_ns

    def _sending_ns(self, payload_bytes: int) -> int:
        return 0 if self._rate_bps is None else round(payload_bytes * 8 * NS_PER_S / self._rate_bps)

    def is_dropped(self, index: int) -> bool:
        """Whether the sensor never delivers capture ``index``."""
        return self._dropped is not None and self._dropped(index, self._tick(index))

    def arrival_ns(self, index: int, t_ns: int, payload_bytes: int) -> int:
        """Returns the instant at which capture ``index``, made at ``t_ns``, reaches the assembly; -1 if it is lost."""
        if self._durations is not None:
            return t_ns + self._fixed_ns + self._durations[index]
        if self._lost is not None and self._lost(index, self._tick(index)):
            return -1
        delay_ns = self._delay_ns
        if self._sampler is not None:
            delay_ns = max(0, round(self._sampler(index, self._tick(index))))
        assert delay_ns is not None
        return t_ns + self._fixed_ns + delay_ns + self._sending_ns(payload_bytes)

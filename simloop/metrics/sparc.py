"""Spectral arc length: how jagged the spectrum of the speed is."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import scipy.fft

from simloop.metrics.kinematics import FloatArray, MotionMetric, PointMotion
from simloop.metrics.metric import MetricValue

CUTOFF_HZ = 10.0
AMPLITUDE_THRESHOLD = 0.05
PADDING_LEVEL = 4
MIN_SAMPLES = 4


def spectral_arc_length(speed_mps: FloatArray, sample_rate_hz: float) -> float:
    """Returns SPARC of an evenly sampled (N,) speed that is not zero throughout.

    The magnitude spectrum, zero-padded to 2^(ceil(log2 N) + 4) and scaled to a maximum of 1, is cut at 10 Hz and then
    to the span between its first and last bin of at least 0.05; SPARC is minus the arc length over that span with the
    frequency axis scaled to 1. Method and constants: Balasubramanian et al., J. NeuroEng. Rehabil. 12:112 (2015).
    Nearer to zero is smoother; a minimum-jerk reach has about -1.40.
    """
    size = 2 ** (math.ceil(math.log2(len(speed_mps))) + PADDING_LEVEL)
    magnitude = np.abs(np.asarray(scipy.fft.rfft(speed_mps, size), dtype=np.complex128))
    frequency_hz = np.fft.rfftfreq(size, d=1.0 / sample_rate_hz)
    num = int(np.searchsorted(frequency_hz, CUTOFF_HZ, side="right"))
    magnitude, frequency_hz = magnitude[:num] / magnitude.max(), frequency_hz[:num]
    kept = np.flatnonzero(magnitude >= AMPLITUDE_THRESHOLD)
    first, last = int(kept[0]), int(kept[-1])
    if first == last:
        return 0.0
    magnitude, frequency_hz = magnitude[first : last + 1], frequency_hz[first : last + 1]
    scaled = np.diff(frequency_hz) / (frequency_hz[-1] - frequency_hz[0])
    return -float(np.hypot(scaled, np.diff(magnitude)).sum())


class Sparc(MotionMetric):
    """Spectral arc length of the speed of the worst motion point that moves."""

    name = "sparc"
    description = (
        "Spectral arc length of the speed of the least smooth moving point; nearer to zero is smoother."
    )
    min_samples = MIN_SAMPLES
    higher_is_better = True

    def value_of(self, motions: Sequence[PointMotion]) -> MetricValue:
        """Takes the minimum over the points that move."""
        values = [spectral_arc_length(m.speed_mps, 1.0 / m.sample_period_s) for m in motions if m.is_moving]
        return MetricValue(value=min(values)) if values else MetricValue.invalid("no motion point moves")

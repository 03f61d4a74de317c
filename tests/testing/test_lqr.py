"""Delay on the LQR line: the closed loop's equations, figures measured elsewhere, and the real loop agree."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.linalg import solve_discrete_lyapunov

from simloop.errors import ParameterError
from simloop.strategies.naive_async import NaiveAsync
from simloop.strategies.prefix import Prefix
from simloop.testing import check_world, play, toy_case
from simloop.testing.lqr import INPUT, TRANSITION, LqrAgent, LqrWorld, lqr_gains
from simloop.timing.stage_graph import timing_from_config

HORIZON = 8
NOISE = 0.1
PERIOD_MS = 100
# Stationary standard deviation of x (m), H = 8, s = max(d, 1), noise 0.1: measured with another implementation, in
# arrays and without a loop. None: unstable.
TABLE: dict[int, tuple[tuple[float | None, float], ...]] = {
    1: ((0.0202, 0.0202), (0.0235, 0.0231), (0.0300, 0.0277), (0.0389, 0.0328), (0.0508, 0.0381)),
    10: ((0.0088, 0.0088), (0.0119, 0.0111), (0.0192, 0.0150), (0.0325, 0.0192), (0.0788, 0.0238)),
    100: ((0.0040, 0.0040), (0.0075, 0.0059), (0.0242, 0.0092), (None, 0.0130), (None, 0.0171)),
}
CASES = [
    (weight, delay, is_prefix, table)
    for weight, rows in TABLE.items()
    for delay, row in enumerate(rows)
    for is_prefix, table in zip((False, True), row, strict=True)
]


def _exact(weight: float, delay: int, *, is_prefix: bool) -> float | None:
    """Solves the covariance of (state, plan) over one cycle of s ticks; None if the cycle is unstable.

    A cycle: plan from the observation; play the old plan for ``delay`` ticks, then the new one until s.
    """
    gains, executed = lqr_gains(weight), max(delay, 1)
    size = 2 + HORIZON
    state, old = np.eye(2, size), np.eye(HORIZON, size, k=2)
    new = np.zeros((HORIZON, size))
    planned = state
    for row in range(HORIZON):
        new[row] = old[row] if is_prefix and row < delay else -gains @ planned
        planned = TRANSITION @ planned + INPUT * new[row]
    commands = np.concatenate([old[:delay], new[delay:executed]])
    noise = np.zeros((2, executed))
    by_tick = []
    for tick in range(executed):
        by_tick.append((state, noise))
        state = TRANSITION @ state + INPUT * commands[tick]
        noise = TRANSITION @ noise
        noise[:, tick] += NOISE * INPUT[:, 0]
    cycle, shock = np.zeros((size, size)), np.zeros((size, executed))
    cycle[:2], cycle[2 : 2 + HORIZON - executed], shock[:2] = state, new[executed:], noise
    if np.abs(np.linalg.eigvals(cycle)).max() >= 1.0:
        return None
    covariance = solve_discrete_lyapunov(cycle, shock @ shock.T)
    variances = [(s @ covariance @ s.T + n @ n.T)[0, 0] for s, n in by_tick]
    return float(np.sqrt(np.mean(variances)))


def _played(weight: float, delay: int, *, is_prefix: bool, num_ticks: int) -> np.ndarray:
    strategy = (Prefix if is_prefix else NaiveAsync)(execution_horizon=max(delay, 1))
    timing = timing_from_config(
        name="constant", inference={"distribution": "constant", "value_ms": delay * PERIOD_MS}
    )
    log = play(
        LqrWorld(action_noise_mps2=NOISE),
        LqrAgent(position_weight=weight),
        case=toy_case("lqr", time_limit_s=num_ticks * PERIOD_MS * 1e-3, seed=delay),
        timing=timing,
        strategy=strategy,
    )
    return np.asarray(log.column("world.state", "x_m"))


@pytest.mark.parametrize(("weight", "delay", "is_prefix", "table"), CASES)
def test_the_table_is_that_of_the_equations(
    weight: int, delay: int, is_prefix: bool, table: float | None
) -> None:
    exact = _exact(weight, delay, is_prefix=is_prefix)
    if table is None:
        assert exact is None
    else:
        # The table's own sampling error and its rounding to 1e-4.
        assert exact == pytest.approx(table, rel=0.015, abs=5e-5)


@pytest.mark.parametrize(("weight", "delay", "is_prefix", "table"), CASES)
def test_the_loop_reproduces_the_table(weight: int, delay: int, is_prefix: bool, table: float | None) -> None:
    if table is None:
        x_m = _played(weight, delay, is_prefix=is_prefix, num_ticks=400)
        assert np.abs(x_m[-50:]).max() > 1.0
        return
    num_batches, length = 20, 150
    x_m = _played(weight, delay, is_prefix=is_prefix, num_ticks=(num_batches + 1) * length)
    batches = (x_m[length : (num_batches + 1) * length].reshape(num_batches, length) ** 2).mean(axis=1)
    variance, error = batches.mean(), batches.std(ddof=1) / np.sqrt(num_batches)
    # Batch means give the sampling error of the variance; 30 cases, so a bound that one in 15,000 crosses by chance.
    assert abs(variance - table**2) < 4.5 * error + 0.03 * table**2
    assert error < 0.25 * variance


def test_the_line_keeps_the_contract_and_refuses_bad_values() -> None:
    check_world(LqrWorld, toy_case("lqr"))
    with pytest.raises(ParameterError, match="position_weight must be over 0 and horizon at least 1; got 0"):
        LqrAgent(position_weight=0.0)

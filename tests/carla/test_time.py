"""How the server's time goes: by ticks, by the clock, in sub-steps; and what stands still without rendering."""

from __future__ import annotations

import functools
import time
from typing import TYPE_CHECKING, Any

import carla
import pytest

from tests.carla.patience import PATIENCE_S

if TYPE_CHECKING:
    from collections.abc import Callable

MODEL3 = "vehicle.tesla.model3"


def test_without_rendering_only_cameras_are_silent(world: Any, spawn: Callable[..., Any]) -> None:
    car = spawn(MODEL3)
    counts = {"sensor.camera.rgb": 0, "sensor.other.gnss": 0, "sensor.lidar.ray_cast": 0}
    sensors = [spawn(name, carla.Transform(), parent=car) for name in counts]

    def count(message: Any, name: str) -> None:
        counts[name] += 1

    settings = world.get_settings()
    settings.no_rendering_mode = True
    world.apply_settings(settings)
    for sensor in sensors:
        sensor.listen(functools.partial(count, name=sensor.type_id))
    for _ in range(10):
        world.tick()
    deadline_s = time.monotonic() + PATIENCE_S
    while (
        min(counts["sensor.other.gnss"], counts["sensor.lidar.ray_cast"]) < 10
        and time.monotonic() < deadline_s
    ):
        time.sleep(0.01)
    for sensor in sensors:
        sensor.stop()
    settings.no_rendering_mode = False
    world.apply_settings(settings)
    assert counts == {"sensor.camera.rgb": 0, "sensor.other.gnss": 10, "sensor.lidar.ray_cast": 10}


@pytest.mark.parametrize("delta_s", [None, 0.02])
def test_asynchronous_time_goes_on_by_itself_and_not_ahead_of_the_clock(
    world: Any, delta_s: float | None
) -> None:
    settings = world.get_settings()
    world.tick()
    before, begun_s = world.get_snapshot(), time.monotonic()
    settings.synchronous_mode, settings.fixed_delta_seconds = False, delta_s
    world.apply_settings(settings)
    first = world.wait_for_tick(PATIENCE_S)
    step_s = delta_s or 0.05
    while (last := world.wait_for_tick(PATIENCE_S)).frame < first.frame + round(0.6 / step_s):
        pass
    passed_s = last.elapsed_seconds - before.elapsed_seconds
    assert last.delta_seconds == pytest.approx(step_s)
    assert passed_s == pytest.approx((last.frame - before.frame) * step_s)
    # A busy server falls behind; ``test_limits`` has its pace without that. All of it passed within this time, but for
    # the two ticks with which the client library looks whether a fixed step was taken over.
    assert passed_s < time.monotonic() - begun_s + 4.0 * step_s


def test_substeps_are_taken_as_set(world: Any, spawn: Callable[..., Any]) -> None:
    """A second in steps of 0.1 s differs with the length of the sub-steps, and not with the number of ticks."""

    def way_m(longest_substep_s: float) -> float:
        settings = world.get_settings()
        settings.fixed_delta_seconds, settings.max_substep_delta_time = 0.1, longest_substep_s
        world.apply_settings(settings)
        car = spawn(MODEL3)
        start = car.get_location()
        car.apply_control(carla.VehicleControl(throttle=1.0))
        for _ in range(10):
            world.tick()
        gone_m = car.get_location().distance(start)
        car.destroy()
        world.tick()
        settings.fixed_delta_seconds, settings.max_substep_delta_time = 0.05, 0.01
        world.apply_settings(settings)
        return float(gone_m)

    fine_m, coarse_m = way_m(0.01), way_m(0.1)
    assert fine_m > 0.1
    assert fine_m == pytest.approx(coarse_m, rel=0.3)
    assert fine_m != coarse_m
    assert fine_m == way_m(0.01)

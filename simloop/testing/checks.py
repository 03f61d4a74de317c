"""One-line conformance checks for authors of worlds and agents."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt

from simloop.agent import Agent, Capability, Conditioning, InferenceRequest
from simloop.errors import AgentError, WorldError
from simloop.log import EpisodeLog
from simloop.spec import Case
from simloop.world import SensorKind, World

FloatArray = npt.NDArray[np.float64]


def check_world(make_world: Callable[[], World], case: Case, *, num_ticks: int = 5) -> None:
    """Checks that a world keeps the contract of ``simloop.world`` on one case.

    It checks: periods divide, sensors deliver their shape and dtype, captures are frozen and stamped with a past
    physics instant, ``to_world`` and ``from_world`` are inverse, bad instants are refused, tables follow their
    schemas, and the same seed gives the same bytes in a second world, after a second reset, and after
    ``expect_captures`` has named every sensor.

    Raises:
        WorldError: What does not hold, what was got and what was expected.
    """
    world = make_world()
    try:
        first = _world_trace(world, case, num_ticks)
        again = _world_trace(world, case, num_ticks)
    finally:
        world.close()
    other = make_world()
    try:
        elsewhere = _world_trace(other, case, num_ticks)
        other.expect_captures([sensor.name for sensor in other.spec.sensors])
        expected = _world_trace(other, case, num_ticks)
    finally:
        other.close()
    _require(first == again, "two resets with one seed gave different bytes; reset must restore every state.")
    _require(
        first == elsewhere,
        "two worlds with one seed gave different bytes; draw randomness from the seed only.",
    )
    _require(
        first == expected,
        "an episode gave other bytes after expect_captures had named its sensors; it may put them up, and must change "
        "nothing else.",
    )


def _require(holds: object, message: str) -> None:
    if not holds:
        raise WorldError(f"check_world: {message}")


def _world_trace(world: World, case: Case, num_ticks: int) -> str:
    spec = world.spec
    _require(
        spec.control_period_ns % spec.physics_period_ns == 0,
        f"control period {spec.control_period_ns} ns is not a multiple of {spec.physics_period_ns} ns.",
    )
    _require(
        any(s.kind is SensorKind.PROPRIOCEPTION for s in spec.sensors), "no sensor of kind proprioception."
    )
    _require(
        len(spec.action.null_action) == spec.action.size, "null_action does not have one entry a dimension."
    )
    world.reset(case.scenario, case.seed)
    parts: list[str] = []
    low = np.array([d.low for d in spec.action.dimensions])
    high = np.array([d.high for d in spec.action.dimensions])
    for tick in range(num_ticks):
        now_ns = tick * spec.control_period_ns
        read_late = [world.capture(sensor.name, tick) for sensor in spec.sensors] if tick == 0 else []
        seen: dict[str, npt.NDArray[np.generic]] = {}
        for sensor in spec.sensors:
            frame = world.capture(sensor.name, tick)
            array = frame.array
            _require(
                array.shape == sensor.shape and array.dtype.name == sensor.dtype,
                f"sensor {sensor.name!r} gave {array.dtype.name} {array.shape}, its spec says {sensor.dtype} "
                f"{sensor.shape}.",
            )
            _require(
                frame.captured_at_ns <= now_ns,
                f"sensor {sensor.name!r} at {now_ns} ns is stamped {frame.captured_at_ns} ns, in the future.",
            )
            parts.append(array.tobytes().hex())
            seen[sensor.name] = array
        anchor = world.anchor()
        actions = np.stack([np.clip(np.array(spec.action.null_action), low, high)] * 3)
        back = spec.action.from_world(spec.action.to_world(actions, anchor), anchor)
        _require(
            bool(np.allclose(back, actions, atol=1e-9)), "from_world(to_world(actions)) differs from actions."
        )
        world.actuate(spec.action.to_world(actions, anchor)[0])
        world.advance(now_ns + spec.control_period_ns)
        for frame in read_late:
            _require(
                np.array_equal(frame.array, seen[frame.sensor]),
                f"sensor {frame.sensor!r} gives another array when it is read after the world has moved; capture must "
                "freeze the state and draw noise by the capture's index.",
            )
        parts.append(repr(world.outcome()))
    for instant_ns in (0, num_ticks * spec.control_period_ns + spec.physics_period_ns // 2):
        if instant_ns % spec.physics_period_ns or instant_ns < num_ticks * spec.control_period_ns:
            _require(
                _refuses(world, instant_ns), f"advance({instant_ns}) must raise ValueError at this state."
            )
    log = EpisodeLog.from_columns(spec.tables, world.drain())
    parts.append(log.episode_hash)
    return "|".join(parts)


def _refuses(world: World, instant_ns: int) -> bool:
    try:
        world.advance(instant_ns)
    except ValueError:
        return True
    return False


def check_agent(agent: Agent, requests: Sequence[InferenceRequest]) -> None:
    """Checks that an agent keeps the contract of ``simloop.agent`` on some requests.

    It checks: one finite (H, A) chunk for each request, the same reply alone and in a batch and a second time, and,
    if the agent claims ``prefix``, that committed rows come back bit for bit.

    Args:
        agent: The agent.
        requests: At least two requests, for example collected from a rollout.

    Raises:
        AgentError: What does not hold.
        ValueError: Fewer than two requests were given.
    """
    if len(requests) < 2:
        raise ValueError(f"check_agent needs at least two requests; got {len(requests)}.")
    batch = _chunks(agent, requests)
    for number, request in enumerate(requests):
        alone = _chunks(agent, [request])[0]
        if not np.array_equal(alone, batch[number]):
            raise AgentError(f"check_agent: request {number} is answered differently alone and in a batch.")
    if any(not np.array_equal(a, b) for a, b in zip(batch, _chunks(agent, requests), strict=True)):
        raise AgentError("check_agent: the same requests are answered differently the second time.")
    if Capability.PREFIX in agent.spec.capabilities:
        _check_prefix(agent, requests[0], batch[0])


def _chunks(agent: Agent, requests: Sequence[InferenceRequest]) -> list[FloatArray]:
    replies = agent.infer(requests)
    if len(replies) != len(requests):
        raise AgentError(f"check_agent: {len(requests)} requests got {len(replies)} replies.")
    chunks = []
    for number, reply in enumerate(replies):
        if reply.actions is None or reply.actions.ndim != 2 or len(reply.actions) != agent.spec.horizon:
            raise AgentError(
                f"check_agent: reply {number} is not a chunk of {agent.spec.horizon} rows; got "
                f"{None if reply.actions is None else reply.actions.shape}."
            )
        if not np.all(np.isfinite(reply.actions)):
            raise AgentError(f"check_agent: reply {number} holds NaN or infinity.")
        chunks.append(np.array(reply.actions, dtype=np.float64))
    return chunks


def _check_prefix(agent: Agent, request: InferenceRequest, chunk: FloatArray) -> None:
    committed = min(4, agent.spec.horizon)
    actions = np.zeros_like(chunk)
    actions[:committed] = chunk[:committed] * 0.9
    weights = np.zeros(len(chunk))
    weights[:committed] = 1.0
    fields = {name: getattr(request, name) for name in InferenceRequest.__dataclass_fields__}
    fields["conditioning"] = Conditioning(actions=actions, weights=weights)
    reply = _chunks(agent, [InferenceRequest(**fields)])[0]
    if not np.array_equal(reply[:committed], actions[:committed]):
        raise AgentError(
            "check_agent: the agent claims prefix, but committed rows do not come back bit for bit."
        )

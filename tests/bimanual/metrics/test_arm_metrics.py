"""Metrics of joints, coordination, contacts and stages on logs whose answers are known."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from simloop.errors import ConfigurationError
from simloop.log import CONTACTS, MOTION, Columns, EpisodeLog, TableSchema
from simloop.metrics.metric import Metric
from simloop_bimanual.force_limits import read_force_limits
from simloop_bimanual.metrics import contact_metrics as contact
from simloop_bimanual.metrics import coordination_metrics as coordination
from simloop_bimanual.metrics import joint_metrics as joint
from simloop_bimanual.metrics import stage_metrics as stage
from simloop_bimanual.recording.contacts import CONTACTS_WITH_FORCES
from simloop_bimanual.recording.links import LINKS
from simloop_bimanual.recording.tables import ARMS, JOINTS
from simloop_bimanual.tasks.lift import LiftTask

PERIOD_NS = 2_000_000


def _log(schemas: Mapping[str, TableSchema], tables: Mapping[str, Columns], **attributes: Any) -> EpisodeLog:
    return EpisodeLog.from_columns(schemas, tables, attributes)


LIMITS: dict[str, Any] = {
    "joint_arms": ["left"] * 7 + ["right"] * 7,
    "joint_low_rad": [-2.0] * 14,
    "joint_high_rad": [2.0] * 14,
    "torque_limit_nm": [80.0] * 12 + [12.0] * 2,
    "joint_velocity_limit_radps": [2.0] * 14,
}


def _joints(
    *, position: Any = 0.0, velocity: Any = 0.0, torque: Any = 0.0, num: int = 1000, **changed: Any
) -> EpisodeLog:
    columns = {
        name: np.zeros((num, 14)) + value
        for name, value in (
            ("joint_position_rad", position),
            ("joint_velocity_radps", velocity),
            ("joint_torque_nm", torque),
        )
    }
    t_ns = np.arange(num) * PERIOD_NS
    return _log({"world.joints": JOINTS}, {"world.joints": {"t_ns": t_ns, **columns}}, **(LIMITS | changed))


def _column(number: int, values: Any) -> Any:
    out = np.zeros((len(values), 14))
    out[:, number] = values
    return out


T = np.arange(1000) * 0.002
SINE = 0.5 * np.sin(2.0 * math.pi * T)
SINE_VELOCITY = 0.5 * 2.0 * math.pi * np.cos(2.0 * math.pi * T)


@pytest.mark.parametrize(
    ("metric", "log", "expected"),
    [
        # Two whole periods of a sine in one joint: jerk A w^3 / sqrt(2); path 8 A, halved by the arm that rests.
        (
            joint.JointJerkRms(),
            _joints(velocity=_column(2, SINE_VELOCITY)),
            0.5 * (2 * math.pi) ** 3 / math.sqrt(2),
        ),
        (joint.JointPath(), _joints(position=_column(2, SINE)), 8 * 0.5 / 2),
        (joint.JointLimitMargin(), _joints(position=_column(9, SINE)), 1.5 / 4.0),
        (joint.JointLimitMargin(), _joints(position=_column(9, np.full(1000, 2.2))), -0.2 / 4.0),
        (joint.MaxJointVelocityRatio(), _joints(velocity=_column(13, -0.5 * T)), 0.5 * T[-1] / 2.0),
        (joint.VelocitySaturation(), _joints(velocity=_column(0, np.where(T < 0.5, -2.0, 1.9))), 0.25),
        (joint.TorqueSaturation(), _joints(torque=_column(13, np.where(T < 0.2, 12.0, 11.0))), 0.1),
        (joint.TorqueSaturation(), _joints(torque=_column(0, np.full(1000, 12.0))), 0.0),
        (joint.ArmVelocityDifference(), _joints(velocity=_column(0, np.full(1000, -0.6))), 0.6),
        (joint.ArmVelocityDifference(), _joints(velocity=0.3), 0.0),
        (joint.IdleArm(), _joints(velocity=_column(8, np.where(T < 0.5, 0.3, 0.0))), 1.0),
        (joint.IdleArm(), _joints(velocity=np.where(T < 0.5, 0.0, 0.3)[:, None]), 0.25),
    ],
)
def test_joint_metrics(metric: Metric, log: EpisodeLog, expected: float) -> None:
    value = metric.evaluate(log)
    assert value.is_valid, value.reason
    assert value.value == pytest.approx(expected, rel=2e-3, abs=1e-12)


def test_joint_metrics_follow_the_logs_own_number_of_joints() -> None:
    """Two arms of six joints: nothing counts seven."""
    schema = TableSchema(
        columns=tuple(
            type(column)(name=column.name, dtype=column.dtype, width=12 if column.width else 0)
            for column in JOINTS.columns
        )
    )
    columns = {c.name: np.zeros((1000, 12)) for c in schema.columns if c.width} | {
        "t_ns": np.arange(1000) * PERIOD_NS
    }
    columns["joint_velocity_radps"][:, 6:] = 0.2
    attributes = {key: value[:12] for key, value in LIMITS.items()} | {
        "joint_arms": ["left"] * 6 + ["right"] * 6
    }
    log = _log({"world.joints": schema}, {"world.joints": columns}, **attributes)
    assert joint.ArmVelocityDifference().evaluate(log).value == pytest.approx(0.2 * math.sqrt(6))


@pytest.mark.parametrize(
    ("metric", "log", "reason"),
    [
        (joint.JointPath(), _joints(joint_arms=[]), "limits of each joint"),
        (joint.VelocitySaturation(), _joints(joint_velocity_limit_radps=[]), "not known"),
        (joint.MaxJointVelocityRatio(), _joints(joint_velocity_limit_radps=[]), "not known"),
        (
            joint.JointLimitMargin(),
            _joints(joint_low_rad=[0.0] * 14, joint_high_rad=[0.0] * 14),
            "limited range",
        ),
        (joint.TorqueSaturation(), _joints(torque_limit_nm=[0.0] * 14), "limited torque"),
        (joint.ArmVelocityDifference(), _joints(joint_arms=["left"] * 14), "two are needed"),
        (joint.IdleArm(), _joints(num=3), "4 are needed"),
        (joint.IdleArm(), _log({}, {}), "no table world.joints"),
    ],
)
def test_joint_metrics_say_why_they_are_missing(metric: Metric, log: EpisodeLog, reason: str) -> None:
    value = metric.evaluate(log)
    assert not value.is_valid
    assert reason in value.reason


def _quaternion(angle_rad: Any, axis: tuple[float, float, float]) -> Any:
    half = np.atleast_1d(angle_rad) / 2.0
    return np.concatenate([np.cos(half)[:, None], np.sin(half)[:, None] * np.array(axis)], axis=1)


IDENTITY = (1.0, 0.0, 0.0, 0.0)


def _arms(
    held: Any,
    *,
    opening: Any = 0.02,
    right_position: Any = (0.4, 0.0, 0.0),
    right: Any = IDENTITY,
    pot: Any = IDENTITY,
    least: Any = 1.0,
    num_links: int = 3,
) -> EpisodeLog:
    """A log of control periods: the left hand at the origin, the right one and a pot where the test wants them."""
    held = np.array(held).reshape(-1, 2)
    num = len(held)
    t_ns = np.arange(num) * 50_000_000
    arms = {
        "t_ns": t_ns,
        "gripper_opening_m": np.zeros((num, 2)) + opening,
        "held_object": held,
        "least_arm_distance_m": np.zeros(num) + least,
    }
    quaternion, position = np.zeros((num, 3, 4)) + IDENTITY, np.zeros((num, 3, 3))
    quaternion[:, 1], quaternion[:, 2], position[:, 1] = right, pot, right_position
    links = {
        "t_ns": np.repeat(t_ns, 3),
        "link": np.tile(np.arange(3), num),
        "position_m": position.reshape(-1, 3),
        "quaternion": quaternion.reshape(-1, 4),
    }
    groups = ["left_arm", "right_arm", "pot"][:num_links]
    return _log(
        {"world.arms": ARMS, "world.links": LINKS},
        {"world.arms": arms, "world.links": links if num_links else {c.name: () for c in LINKS.columns}},
        links=[{"name": group, "group": group, "parent": -1} for group in groups],
        object_classes=["pot"],
    )


BOTH = [(0, 0)] * 5
TURNS = np.array([0.0, 0.1, 0.2, 0.1, 0.3])
RMS_TURN = math.sqrt(0.15 / 5)
SHIFTS = np.array([0.0, 0.01, 0.02, 0.03, 0.0])


@pytest.mark.parametrize(
    ("metric", "log", "expected"),
    [
        (coordination.MinArmDistance(), _arms(BOTH, least=[0.4, 0.3, 0.3, 0.2, 0.2]), 0.2),
        (coordination.HandRotation(), _arms(BOTH, right=_quaternion(TURNS, (0.0, 0.0, 1.0))), 0.5 / 2),
        (
            coordination.GraspRotationError(),
            _arms(BOTH, right=_quaternion(TURNS, (0.0, 1.0, 0.0))),
            math.sqrt(0.15 / 5),
        ),
        (
            coordination.GraspPositionError(),
            _arms(BOTH, right_position=np.stack([0.4 + SHIFTS, 0 * SHIFTS, 0 * SHIFTS], axis=1)),
            math.sqrt(14e-4 / 5),
        ),
        # Before both hold it, the hands may move as they like.
        (
            coordination.GraspPositionError(),
            _arms(
                [(0, -1), *BOTH[1:]],
                right_position=np.array([(9.0, 0.0, 0.0)] + [(0.4, 0.0, 0.0)] * 4),
            ),
            0.0,
        ),
        # Tilts of 0.3 about y count while held, turns about the vertical do not.
        (coordination.MaxHeldTilt(), _arms(BOTH, pot=_quaternion(TURNS, (0.0, 1.0, 0.0))), 0.3),
        (coordination.MaxHeldTilt(), _arms(BOTH, pot=_quaternion(TURNS, (0.0, 0.0, 1.0))), 0.0),
        (
            coordination.MaxHeldTilt(),
            _arms([*BOTH[:4], (-1, -1)], pot=_quaternion(TURNS, (0.0, 1.0, 0.0))),
            0.2,
        ),
        # The left hand loses it with closing fingers; the right one opens.
        (
            coordination.NumSlips(),
            _arms([(0, 0), (0, 0), (-1, -1)], opening=[(0.02, 0.02), (0.02, 0.02), (0.0, 0.03)]),
            1.0,
        ),
        (coordination.NumSlips(), _arms(BOTH), 0.0),
        # The right hand takes hold 0.1 s after the left one has let go; or 0.15 s before.
        (coordination.HandOverGap(), _arms([(0, -1)] * 3 + [(-1, -1)] * 2 + [(-1, 0)] * 3), 0.1),
        (coordination.HandOverGap(), _arms([(0, -1)] * 3 + [(0, 0)] * 3 + [(-1, 0)] * 3), -0.15),
    ],
)
def test_coordination_metrics(metric: Metric, log: EpisodeLog, expected: float) -> None:
    value = metric.evaluate(log)
    assert value.is_valid, value.reason
    assert value.value == pytest.approx(expected, rel=1e-6, abs=1e-7)


def test_a_rigid_pair_of_hands_has_no_grasp_error_however_it_moves() -> None:
    """Both hands turn and travel as one body; the relative pose stays."""
    turn = _quaternion(np.linspace(0.0, 2.0, 20), (0.0, 0.0, 1.0))
    angle = np.linspace(0.0, 2.0, 20)
    log = _arms([(0, 0)] * 20, right=turn)
    quaternion = log.tables["world.links"]["quaternion"].reshape(20, 3, 4)
    position = log.tables["world.links"]["position_m"].reshape(20, 3, 3)
    quaternion[:, 0] = turn
    position[:, 0] = np.linspace(0.0, 1.0, 20)[:, None]
    position[:, 1] = position[:, 0] + 0.4 * np.stack([np.cos(angle), np.sin(angle), 0 * angle], axis=1)
    assert coordination.GraspPositionError().evaluate(log).value == pytest.approx(0.0, abs=1e-12)
    assert coordination.GraspRotationError().evaluate(log).value == pytest.approx(0.0, abs=1e-7)


@pytest.mark.parametrize(
    ("metric", "log", "reason"),
    [
        (coordination.GraspPositionError(), _arms([(0, -1)] * 4), "held by both hands"),
        (coordination.GraspRotationError(), _arms([(0, -1)] * 4), "held by both hands"),
        (coordination.MaxHeldTilt(), _arms([(-1, -1)] * 4), "no rigid object was held"),
        (coordination.MaxHeldTilt(), _arms(BOTH, num_links=0), "names no arms"),
        (coordination.NumSlips(), _arms([(-1, -1)] * 4), "no object was held"),
        (coordination.HandOverGap(), _arms(BOTH), "changed hands"),
        (coordination.MinArmDistance(), _arms([]), "no control period"),
        (coordination.HandRotation(), _arms([]), "no control period"),
        (coordination.HandRotation(), _log({}, {}), "no table world.arms, world.links"),
    ],
)
def test_coordination_metrics_say_why_they_are_missing(metric: Metric, log: EpisodeLog, reason: str) -> None:
    value = metric.evaluate(log)
    assert not value.is_valid
    assert reason in value.reason


@pytest.mark.parametrize(
    ("points", "expected"), [(["left_gripper", "right_gripper"], 0.25), (["left_gripper", "pot"], None)]
)
def test_gripper_heights_are_compared(points: list[str], expected: float | None) -> None:
    heights = np.array([[1.0, 1.2], [1.0, 0.7]]).reshape(-1)
    position = np.stack([0 * heights, 0 * heights, heights], axis=1)
    rows = {"t_ns": [0, 0, 1, 1], "point": [0, 1, 0, 1], "position_m": position, "velocity_mps": 0 * position}
    log = _log({"world.motion": MOTION}, {"world.motion": rows}, motion_points=points)
    value = coordination.GripperHeightDifference().evaluate(log)
    assert value.is_valid == (expected is not None)
    if expected is not None:
        assert value.value == pytest.approx(expected)


ROWS = [
    # pair, collision, duration, peak, impulse, depth
    ("left_gripper-pot", False, 2.0, 900.0, 90.0, 0.001),
    ("left_arm-right_gripper", True, 0.1, 350.0, 10.0, 0.003),
    ("right_gripper-table", True, 0.8, 210.0, 50.0, 0.002),
    ("left_arm-left_gripper", True, 0.2, 20.0, 1.0, 0.0005),
    ("pot-table", False, 5.0, 40.0, 100.0, 0.004),
    ("left_gripper-left_gripper", False, 9.0, 9999.0, 9999.0, 0.1),  # a gripper's own linkage
]
LIMITS_OF_HAND = {"quasi_static_n": 140.0, "transient_ratio": 2.0, "transient_s": 0.5}


def _contacts(rows: list[Any], **attributes: Any) -> EpisodeLog:
    columns: dict[str, Any] = {c.name: np.zeros(len(rows)) for c in CONTACTS_WITH_FORCES.columns}
    names = (
        "class_pair", "is_collision", "duration_s", "peak_normal_force_n", "impulse_newton_s", "max_penetration_m",
    )  # fmt: skip
    for number, name in enumerate(names):
        columns[name] = [row[number] for row in rows]
    return _log({"world.contacts": CONTACTS_WITH_FORCES}, {"world.contacts": columns}, **attributes)


@pytest.mark.parametrize(
    ("metric", "expected", "without"),
    [
        (contact.NumArmCollisions(), 1.0, 0.0),
        (contact.NumTableCollisions(), 1.0, 0.0),
        (contact.NumSelfCollisions(), 1.0, 0.0),
        (contact.PeakContactForce(), 900.0, None),
        (contact.PeakCollisionForce(), 350.0, None),
        (contact.CollisionImpulse(), 61.0, 0.0),
        (contact.MaxPenetration(), 0.004, None),
        # 350 N in a blow of 0.1 s are 1.25 limits, 210 N for 0.8 s are 1.5.
        (contact.ForceLimitRatio(), 1.5, None),
    ],
)
def test_contact_metrics(metric: Metric, expected: float, without: float | None) -> None:
    assert metric.evaluate(_contacts(ROWS, force_limits=LIMITS_OF_HAND)).value == pytest.approx(expected)
    none = metric.evaluate(_contacts([], force_limits=LIMITS_OF_HAND))
    assert none.is_valid == (without is not None)
    assert none.value == without if without is not None else none.reason in ("no contact", "no collision")
    shared = _log({"world.contacts": CONTACTS}, {})
    assert "with forces" in metric.evaluate(shared).reason


def test_without_a_preset_there_is_no_force_limit() -> None:
    assert "force_limits" in contact.ForceLimitRatio().evaluate(_contacts(ROWS)).reason


def test_the_shipped_preset_names_its_source_and_its_limits(repository: Path) -> None:
    file = repository / "conf" / "force_limits" / "iso15066_like.yaml"
    text = file.read_text(encoding="utf-8")
    assert "8:667818" in text
    assert "caveats" in text
    assert "compliant" not in text.lower()
    expected = {"region": "hand", "quasi_static_n": 140.0, "transient_ratio": 2.0, "transient_s": 0.5}
    assert read_force_limits("iso15066_like") == {"name": "iso15066_like", **expected}
    assert read_force_limits(str(file)) == {"name": str(file), **expected}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "region: hand\nregions: {shin: {quasi_static_n: 1}}\ntransient_s: 1",
            r"unknown region 'hand'.*shin",
        ),
        (
            "region: hand\nregions: {hand: {quasi_static_n: -1}}\ntransient_s: 1",
            r"quasi_static_n is -1; allowed",
        ),
        ("region: hand\nregions: {hand: {quasi_static_n: 1}}", r"transient_s is None; allowed"),
        ("region: hand\nlimit: 3", r"unknown key 'limit'"),
    ],
)
def test_a_preset_that_is_wrong_is_refused(tmp_path: Path, text: str, message: str) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text(text)
    with pytest.raises(ConfigurationError, match=rf"(?is){message}"):
        read_force_limits(str(file))


def test_an_unknown_preset_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="iso15066_like"):
        read_force_limits("iso15067")


def test_stages_are_counted_from_the_first() -> None:
    rows: Any = {c.name: np.zeros(4) for c in LiftTask.table.columns} | {"stage": [0, 2, 3, 1]}
    log = _log({"world.task": LiftTask.table}, {"world.task": rows}, stages=LiftTask.stages)
    assert stage.MaxStage().evaluate(log).value == 3.0
    assert stage.StageAtEnd().evaluate(log).value == 1.0
    assert stage.StageProgress().evaluate(log).value == 1.0
    without = _log({"world.task": LiftTask.table}, {"world.task": rows})
    assert "stages" in stage.StageProgress().evaluate(without).reason

"""TwoArmTransport: clear the target bin of trash, and bring a payload into it from a closed bin, by a handover."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from simloop.log import Column, TableSchema
from simloop_bimanual.conventions import TABLE_TOP_M
from simloop_bimanual.models.sampled_geometry import SampledBody
from simloop_bimanual.physics.grasps import Touches
from simloop_bimanual.tasks.hammer import PARTS, hammer_shapes, head_half_size_m, lying_quaternion
from simloop_bimanual.tasks.task import FloatArray, Judgement, Task, in_base

if TYPE_CHECKING:
    from simloop_bimanual.models.two_arm_model import TwoArmModel

TABLE_Y_M = (1.2 * -3 / 8, 1.2 * 3 / 8)
"""Where the two tables' centres are (robosuite ``TwoArmTransport.table_offsets``)."""
ABOVE_TABLE_M = 0.001
"""Height over its support at which robosuite lets every object start."""
BIN_HEIGHT_M, WALL_M = 0.15, 0.01
LID_HALF_HEIGHT_M, TRASH_HALF_SIZE_M = 0.02, 0.02
HANDLE_RADIUS_M, HANDLE_LENGTH_M = 0.015, 0.20
HANDLE_DENSITY_KGPM3, HANDLE_FRICTION, HEAD_DENSITY_RATIO = 150.0, 4.0, 1.5
LID_OFF_M = 0.10
"""Horizontal way of the lid from its bin's centre from which the payload can be reached."""
LOST_M = -0.05

_BINS = ("start_bin", "target_bin", "trash_bin")


class TransportTask(Task):
    """The payload lies in the target bin and the trash in the trash bin (robosuite ``_check_success``)."""

    name = "two_arm_transport"
    stock_name = "TwoArmTransport"
    free_bodies: ClassVar[Mapping[str, str]] = {
        "payload": "payload_root",
        "trash": "trash_main",
        "lid": "transport_start_bin_lid_root",
        "start_bin": "transport_start_bin_root",
        "target_bin": "transport_target_bin_root",
        "trash_bin": "transport_trash_bin_root",
    }
    object_prefixes: ClassVar[Mapping[str, str]] = {
        "payload_": "payload",
        "trash_": "trash",
        "transport_start_bin_lid_": "lid",
        "transport_start_bin_": "start_bin",
        "transport_target_bin_": "target_bin",
        "transport_trash_bin_": "trash_bin",
    }
    sampled_bodies = ("payload_root",)
    allowed_contacts = frozenset(
        [
            frozenset({held, arm})
            for held in ("payload", "trash", "lid")
            for arm in ("left_fingers", "right_fingers")
        ]
        + [frozenset({held, place}) for held in ("payload", "trash", "lid") for place in (*_BINS, "table")]
        + [frozenset({name, "table"}) for name in _BINS]
    )
    parameters: ClassVar[Mapping[str, tuple[float, float]]] = {
        "head_size_ratio": (0.0, 1.0),
        "start_bin_x_m": (0.1, 0.25),
        "start_bin_y_m": (-0.05, 0.05),
        "payload_turn_rad": (0.0, math.pi),
        "target_bin_x_m": (-0.25, -0.1),
        "target_bin_y_m": (-0.05, 0.05),
        "trash_turn_rad": (-math.pi, math.pi),
        "trash_bin_x_m": (0.1, 0.25),
        "trash_bin_y_m": (-0.05, 0.05),
    }
    defaults: ClassVar[Mapping[str, float]] = {
        "head_size_ratio": 0.5,
        "start_bin_x_m": 0.2,
        "payload_turn_rad": math.pi / 2,
        "target_bin_x_m": -0.2,
        "trash_bin_x_m": 0.2,
    }
    flags = ("is_payload_flipped",)
    stages = (
        "nothing is done",
        "one of three parts",
        "two of three parts",
        "lid off, trash away, payload delivered",
    )
    table = TableSchema(
        description="One row a control period, from t = 0: how far the transport is.",
        columns=(
            Column(name="t_ns", dtype="int64", description="virtual instant"),
            Column(
                name="is_lid_off",
                dtype="bool",
                description="the lid is 10 cm away from over the start bin's centre",
            ),
            Column(
                name="is_trash_in_trash_bin",
                dtype="bool",
                description="the trash touches the trash bin's floor",
            ),
            Column(
                name="is_payload_in_target_bin",
                dtype="bool",
                description="the payload touches the target bin's floor",
            ),
            Column(
                name="is_left_grasped", dtype="bool", description="both left finger pads touch the payload"
            ),
            Column(
                name="is_right_grasped", dtype="bool", description="both right finger pads touch the payload"
            ),
            Column(name="payload_height_m", description="payload's handle over the table tops"),
            Column(
                name="stage",
                dtype="int64",
                description="how many of lid off, trash away and payload delivered hold",
            ),
        ),
    )
    camera_subject = "bins, payload and trash"
    object_state_size = 31 + 2 * 12
    object_state_layout = (
        "world frame: payload's handle: position (3, m), quaternion w x y z (4), linear velocity (3, m/s); trash: "
        "position (3, m), quaternion (4); lid: position (3, m); start, target and trash bin: position (9, m); trash "
        "in its bin, payload in its bin (2, 0 or 1); then for the left and the right arm, in the frame of the arm's "
        "base: payload's handle (3, m), its direction towards the head (3), lid's centre (3, m), trash (3, m)"
    )
    num_geometry_draws = 5

    def __init__(self, model: TwoArmModel) -> None:
        super().__init__(model)
        self._sampled = SampledBody(model.mj_model, model.lone_bodies["payload_root"], "payload_root")
        self._touches = Touches(
            model.geom_names,
            [f"payload_{part}" for part in PARTS],
            ["transport_target_bin_base"],
            ["trash_g0"],
            ["transport_trash_bin_base"],
        )

    def shape(self, values: Mapping[str, float]) -> None:
        """Gives the payload's head its size."""
        self._sampled.write(
            hammer_shapes(
                "payload",
                radius_m=HANDLE_RADIUS_M,
                length_m=HANDLE_LENGTH_M,
                density_kgpm3=HANDLE_DENSITY_KGPM3,
                friction=HANDLE_FRICTION,
                head_half_size_m=head_half_size_m(HANDLE_RADIUS_M, values["head_size_ratio"]),
                head_density_ratio=HEAD_DENSITY_RATIO,
            )
        )

    def place(self, values: Mapping[str, float], qpos: FloatArray) -> None:
        """Puts the bins on the tables, payload and lid into and onto the first, the trash into the second."""
        at = {
            name: (values[f"{name}_x_m"], values[f"{name}_y_m"] + TABLE_Y_M[0 if name == "start_bin" else 1])
            for name in _BINS
        }
        ground = ABOVE_TABLE_M + TABLE_TOP_M
        half_trash = values["trash_turn_rad"] / 2
        level = (1.0, 0.0, 0.0, 0.0)
        placed: dict[str, tuple[tuple[float, float], float, Any]] = {
            name: (at[name], ground + BIN_HEIGHT_M / 2.0, level) for name in _BINS
        }
        placed["lid"] = (at["start_bin"], ground + LID_HALF_HEIGHT_M + BIN_HEIGHT_M, level)
        placed["payload"] = (
            at["start_bin"],
            ground + HANDLE_RADIUS_M + WALL_M,
            lying_quaternion(values["payload_turn_rad"], is_flipped=bool(values["is_payload_flipped"])),
        )
        placed["trash"] = (
            at["target_bin"],
            ground + TRASH_HALF_SIZE_M + WALL_M,
            (np.cos(half_trash), 0.0, 0.0, np.sin(half_trash)),
        )
        for name, ((x_m, y_m), z_m, quaternion) in placed.items():
            first = self._model.objects[name].qpos
            qpos[first : first + 3] = (x_m, y_m, z_m)
            qpos[first + 3 : first + 7] = quaternion

    def measure(self, data: Any) -> Judgement:
        """Asks what lies on which bin's floor, and where the lid is."""
        position = {name: data.xpos[item.body] for name, item in self._model.objects.items()}
        self._touches.update(data)
        is_delivered, is_cleared = self._touches.between(0, 1), self._touches.between(2, 3)
        is_open = bool(np.linalg.norm((position["lid"] - position["start_bin"])[:2]) > LID_OFF_M)
        stage = int(is_open) + int(is_cleared) + int(is_delivered)
        heights = {name: float(position[name][2]) - TABLE_TOP_M for name in ("payload", "trash")}
        lost = [name for name, height in heights.items() if height < LOST_M]
        grasped = [self._touches.is_grasped(arm, 0) for arm in range(2)]
        return Judgement(
            row=(is_open, is_cleared, is_delivered, *grasped, heights["payload"], stage),
            stage=stage,
            is_goal_met=is_delivered and is_cleared,
            failure=f"{lost[0]}_dropped" if lost else "",
        )

    def object_state(self, data: Any) -> FloatArray:
        """Returns all objects in the world, and what is to be grasped in the frame of each arm's base."""
        out = np.empty(self.object_state_size)
        items = self._model.objects
        payload, trash, lid = (items[name].body for name in ("payload", "trash", "lid"))
        dof = items["payload"].dof
        out[0:3], out[3:7] = data.xpos[payload], data.xquat[payload]
        out[7:10] = data.qvel[dof : dof + 3]
        out[10:13], out[13:17] = data.xpos[trash], data.xquat[trash]
        out[17:20] = data.xpos[lid]
        for number, name in enumerate(_BINS):
            out[20 + 3 * number : 23 + 3 * number] = data.xpos[items[name].body]
        self._touches.update(data)
        out[29:31] = self._touches.between(2, 3), self._touches.between(0, 1)
        for arm in range(2):
            part = out[31 + 12 * arm :]
            rotation = data.xmat[payload].reshape(3, 3)
            part[0:3], turned = in_base(self._model, data, arm, data.xpos[payload], rotation)
            part[3:6] = turned[:, 2]
            part[6:9], _ = in_base(self._model, data, arm, data.xpos[lid], rotation)
            part[9:12], _ = in_base(self._model, data, arm, data.xpos[trash], rotation)
        return out

"""Where every moving part of the two-arm scene is, at the control rate, and the shapes to draw it with.

``world.links`` holds poses; the log attributes ``links`` and ``shapes`` say what they belong to. Arms are chains of
links, objects and fingers are links with shapes. What never moves has shapes alone, with ``link`` -1, world frame.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from simloop.log import Column, Columns, TableSchema
from simloop_bimanual.models.two_arm_model import ARM_NAMES, TwoArmModel
from simloop_bimanual.recording.tables import Rows
from simloop_bimanual.robosuite_import import load_mujoco

LINKS = TableSchema(
    description="One row a control period, from t = 0, and link: the parts of arms and objects that move.",
    columns=(
        Column(name="t_ns", dtype="int64", description="virtual instant"),
        Column(name="link", dtype="int64", description="index into the log attribute links"),
        Column(name="position_m", width=3, description="origin of the link, world frame"),
        Column(name="quaternion", width=4, description="world from link, w x y z"),
    ),
)

SHAPE_KINDS = {2: "sphere", 3: "cylinder", 4: "sphere", 5: "cylinder"}
"""What a geom is drawn as, by its MuJoCo type; every other one is drawn as its bounding box."""
_SHORTEST_LINK_M = 0.02
"""Bodies of an arm nearer than this to the one before are the same point of its skeleton."""
_DIGITS = 5


class LinkRecorder:
    """Collects the rows of the ``links`` table of one episode.

    Args:
        model: The physics model; its geometry may change between episodes.
    """

    def __init__(self, model: TwoArmModel) -> None:
        self._model = model
        m = model.mj_model
        self._bodies: list[int] = []
        self._links: list[dict[str, Any]] = []
        classes = [model.class_names[number] for number in model.geom_class]
        for arm, side in enumerate(ARM_NAMES):
            parent = -1
            for body in _chain(m, int(m.site_bodyid[model.grip_sites[arm]])):
                if parent < 0 or np.linalg.norm(m.body_pos[body]) >= _SHORTEST_LINK_M:
                    parent = self._add(body, f"{side}_arm", parent)
            gripper = model.arms[arm].gripper
            for address in () if gripper is None else gripper.qpos:
                joint = int(np.flatnonzero(m.jnt_qposadr == address)[0])
                self._add(int(m.jnt_bodyid[joint]), f"{side}_gripper", parent)
        vertices = frozenset(int(body) for body in m.flex_vertbodyid)
        for body in model.object_bodies.values():
            if m.body_weldid[body] and body not in vertices:
                self._add(body, classes[int(np.flatnonzero(m.geom_bodyid == body)[0])], -1)
        self._vertices = vertices
        self._faces = self._add_cloth()
        self._index = np.array(self._bodies)
        self._t_ns: list[int] = []
        self._poses = Rows((len(self._bodies), 7), 256)

    def _add(self, body: int, group: str, parent: int) -> int:
        self._bodies.append(body)
        self._links.append({"name": self._model.body_names[body], "group": group, "parent": parent})
        return len(self._bodies) - 1

    def _add_cloth(self) -> list[list[int]]:
        """Adds the vertices of flexible surfaces as links and returns the surfaces' triangles."""
        m = self._model.mj_model
        faces = []
        for flex in range(m.nflex):
            if m.flex_dim[flex] != 2:
                continue
            start, count = int(m.flex_vertadr[flex]), int(m.flex_vertnum[flex])
            first = len(self._bodies)
            for body in m.flex_vertbodyid[start : start + count]:
                self._add(int(body), "cloth", -1)
            at, number = int(m.flex_elemdataadr[flex]), int(m.flex_elemnum[flex])
            faces += (np.array(m.flex_elem[at : at + 3 * number]).reshape(-1, 3) + first).tolist()
        return faces

    def clear(self) -> None:
        """Forgets all rows, for the next episode."""
        self._t_ns.clear()
        self._poses.take()

    def record(self, data: Any, now_ns: int) -> None:
        """Adds the poses of one instant; positions in ``data`` are fresh."""
        row = self._poses.reserve(1)[self._poses.count]
        row[:, :3], row[:, 3:] = data.xpos[self._index], data.xquat[self._index]
        self._poses.count += 1
        self._t_ns.append(now_ns)

    def drain(self) -> Columns:
        """Returns and forgets the rows."""
        poses, t_ns = self._poses.take(), np.array(self._t_ns, dtype=np.int64)
        self._t_ns.clear()
        count = len(self._bodies)
        return {
            "t_ns": np.repeat(t_ns, count),
            "link": np.tile(np.arange(count, dtype=np.int64), len(t_ns)),
            "position_m": poses[:, :, :3].reshape(-1, 3),
            "quaternion": poses[:, :, 3:].reshape(-1, 4),
        }

    def attributes(self) -> Mapping[str, Any]:
        """Returns the log attributes ``links``, ``shapes`` and ``faces`` of the present geometry.

        A link has a name, a group (``left_arm``, ``right_gripper``, or the class of an object) and a parent that it
        is joined to by a straight line (-1 for none). A shape has the index of its link, a group, a kind (``box``,
        ``cylinder`` along z, ``sphere``), half sizes in metres, and position and quaternion in the link. A face is a
        triangle of three links.
        """
        return {"links": [dict(link) for link in self._links], "shapes": self._shapes(), "faces": self._faces}

    def _shapes(self) -> list[dict[str, Any]]:
        m, model = self._model.mj_model, self._model
        link_of = {body: number for number, body in enumerate(self._bodies)}
        shapes = []
        for geom in range(m.ngeom):
            body, group = int(m.geom_bodyid[geom]), model.class_names[model.geom_class[geom]]
            is_static = not m.body_weldid[body]
            if group == "floor" or body in self._vertices:
                continue
            if not is_static and (body not in link_of or group.endswith("_arm")):
                continue
            position, quaternion = np.array(m.geom_pos[geom]), np.array(m.geom_quat[geom])
            rotation = _rotation(quaternion)
            position = position + rotation @ m.geom_aabb[geom, :3]
            if is_static:
                position, quaternion = _in_world(m, body, position, quaternion)
            shapes.append(
                {
                    "link": -1 if is_static else link_of[body],
                    "group": group.replace("_fingers", "_gripper"),
                    "kind": SHAPE_KINDS.get(int(m.geom_type[geom]), "box"),
                    "half_size_m": np.round(m.geom_aabb[geom, 3:], _DIGITS).tolist(),
                    "position_m": np.round(position, _DIGITS).tolist(),
                    "quaternion": np.round(quaternion, _DIGITS).tolist(),
                }
            )
        return shapes


def _chain(mj_model: Any, body: int) -> list[int]:
    """Returns the bodies from the first below the world to ``body``."""
    chain = [body]
    while mj_model.body_parentid[chain[-1]]:
        chain.append(int(mj_model.body_parentid[chain[-1]]))
    return chain[::-1]


def _rotation(quaternion: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    out = np.empty(9)
    load_mujoco().mju_quat2Mat(out, quaternion)
    return out.reshape(3, 3)


def _in_world(
    mj_model: Any, body: int, position: npt.NDArray[np.float64], quaternion: npt.NDArray[np.float64]
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Returns a pose in a body that never moves as a pose in the world."""
    for parent in reversed(_chain(mj_model, body)):
        position = mj_model.body_pos[parent] + _rotation(mj_model.body_quat[parent]) @ position
        turned = np.empty(4)
        load_mujoco().mju_mulQuat(turned, mj_model.body_quat[parent], quaternion)
        quaternion = turned
    return position, quaternion

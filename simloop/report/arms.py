"""Arms and objects of an episode as the page draws them: links over time, and the shapes that hang on them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from simloop.log import EpisodeLog

FloatArray = npt.NDArray[np.float64]

LINKS_TABLE = "world.links"
_MM, _QUATERNION_STEPS = 1e3, 500.0
"""Resolution of what the page gets: millimetres, and this many steps of a quaternion's entry."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Link:
    """A rigid part over time.

    Attributes:
        name: What it is called.
        group: What is drawn in one colour: an arm with its gripper, or an object.
        parent: Index of the link that a straight line joins it to; -1 for none.
        position_m: (T, 3) world frame.
        quaternion: (T, 4) world from link, w x y z; neighbouring frames have the same sign.
    """

    name: str
    group: str
    parent: int
    position_m: FloatArray
    quaternion: FloatArray


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ArmScene:
    """Arms and objects at common instants.

    Attributes:
        links: What moves.
        shapes: As the log attribute has them: ``link`` (-1 for the world), ``group``, ``kind``, ``half_size_m``,
            ``position_m``, ``quaternion``.
        faces: Triangles of links, for cloth.
    """

    links: tuple[Link, ...]
    shapes: tuple[Mapping[str, Any], ...]
    faces: tuple[tuple[int, int, int], ...]


def read_arms(log: EpisodeLog, frames: npt.NDArray[np.int64]) -> ArmScene | None:
    """Returns the links at the instants ``frames`` (ns), or None where a log has none."""
    facts = log.attributes.get("links", ())
    if not facts or not log.has(LINKS_TABLE):
        return None
    t_ns, number = log.column(LINKS_TABLE, "t_ns"), log.column(LINKS_TABLE, "link")
    position, quaternion = log.column(LINKS_TABLE, "position_m"), log.column(LINKS_TABLE, "quaternion")
    links = []
    for index, fact in enumerate(facts):
        rows = np.flatnonzero((number == index) & np.isin(t_ns, frames))
        if len(rows) != len(frames):
            return None
        links.append(
            Link(
                name=str(fact["name"]),
                group=str(fact["group"]).replace("_gripper", "_arm"),
                parent=int(fact["parent"]),
                position_m=position[rows],
                quaternion=_continuous(quaternion[rows]),
            )
        )
    return ArmScene(
        links=tuple(links),
        shapes=tuple(log.attributes.get("shapes", ())),
        faces=tuple((int(a), int(b), int(c)) for a, b, c in log.attributes.get("faces", ())),
    )


def _continuous(quaternion: FloatArray) -> FloatArray:
    """Flips signs so that no two neighbours are on opposite sides."""
    flips = np.where((quaternion[1:] * quaternion[:-1]).sum(axis=1) < 0.0, -1.0, 1.0)
    signs = np.concatenate([[1.0], np.cumprod(flips)])
    out: FloatArray = quaternion * signs[:, None]
    return out


def arms_view(arms: ArmScene) -> dict[str, Any]:
    """Returns plain values for the page: tracks as whole numbers, each frame's change from the one before.

    ``p`` of a link holds millimetres, x y z after each other; ``q`` its quaternion in 1/500, where shapes need it. A
    track that never changes holds one frame.
    """
    with_shape = {int(shape["link"]) for shape in arms.shapes}
    groups = dict.fromkeys([link.group for link in arms.links] + [_group(shape) for shape in arms.shapes])
    return {
        "groups": list(groups),
        "links": [
            {
                "name": link.name,
                "group": list(groups).index(link.group),
                "parent": link.parent,
                "p": _changes(link.position_m, _MM),
                **({"q": _changes(link.quaternion, _QUATERNION_STEPS)} if i in with_shape else {}),
            }
            for i, link in enumerate(arms.links)
        ],
        "shapes": [
            {
                "link": int(shape["link"]),
                "group": list(groups).index(_group(shape)),
                "kind": str(shape["kind"]),
                "half": [round(float(v), 4) for v in shape["half_size_m"]],
                "p": [round(float(v), 4) for v in shape["position_m"]],
                "q": [round(float(v), 4) for v in shape["quaternion"]],
            }
            for shape in arms.shapes
        ],
        "faces": [list(face) for face in arms.faces],
    }


def _group(shape: Mapping[str, Any]) -> str:
    return str(shape["group"]).replace("_gripper", "_arm")


def _changes(track: FloatArray, scale: float) -> list[int]:
    whole = np.round(track * scale).astype(np.int64)
    if not np.ptp(whole, axis=0).any():
        whole = whole[:1]
    return [int(v) for v in np.diff(whole, axis=0, prepend=np.zeros_like(whole[:1])).ravel()]

"""The table of links: poses are MuJoCo's own, shapes fit the geoms, cloth is triangles of vertices."""

from __future__ import annotations

import numpy as np
import pytest

from simloop.log import EpisodeLog
from simloop.report.arms import arms_view
from simloop.report.scene import read_scene
from simloop.spec import Scenario
from simloop_bimanual.conventions import CONTROL_PERIOD_NS
from simloop_bimanual.recording.links import LINKS
from simloop_bimanual.recording.tables import TABLES
from simloop_bimanual.world import BimanualWorld


@pytest.fixture(scope="module")
def played() -> tuple[BimanualWorld, EpisodeLog]:
    """A lift that stands still for two control periods."""
    world = BimanualWorld(task="two_arm_lift")
    world.reset(Scenario(family="two_arm_lift", world="bimanual", parameters={}), 0)
    world.advance(2 * CONTROL_PERIOD_NS)
    tables = world.drain()
    log = EpisodeLog.from_columns(
        {"world.links": LINKS, "world.motion": TABLES["motion"]},
        {"world.links": tables["links"], "world.motion": tables["motion"]},
        world.log_attributes(),
    )
    return world, log


def test_rows_are_the_poses_of_bodies_at_the_ends_of_control_periods(
    played: tuple[BimanualWorld, EpisodeLog],
) -> None:
    world, log = played
    links = log.attributes["links"]
    t_ns = log.column("world.links", "t_ns").reshape(3, len(links))
    assert t_ns[:, 0].tolist() == [0, CONTROL_PERIOD_NS, 2 * CONTROL_PERIOD_NS]
    last = log.column("world.links", "position_m").reshape(3, len(links), 3)[-1]
    quaternion = log.column("world.links", "quaternion").reshape(3, len(links), 4)[-1]
    names = [link["name"] for link in links]
    model, data = world._model, world._data
    for number, name in enumerate(names):
        body = model.body_names.index(name)
        np.testing.assert_array_equal(last[number], data.xpos[body])
        np.testing.assert_array_equal(quaternion[number], data.xquat[body])
    assert "pot_root" in names
    # Every arm is one chain from its base to its hand, and the fingers hang on the hand.
    for side in ("left", "right"):
        chain = [i for i, link in enumerate(links) if link["group"] == f"{side}_arm"]
        assert [links[i]["parent"] for i in chain] == [-1, *chain[:-1]]
        fingers = [link["parent"] for link in links if link["group"] == f"{side}_gripper"]
        assert fingers == [chain[-1]] * 2


def test_shapes_bound_the_geoms_that_they_stand_for(played: tuple[BimanualWorld, EpisodeLog]) -> None:
    world, log = played
    shapes = log.attributes["shapes"]
    (table,) = [shape for shape in shapes if shape["group"] == "table"]
    # robosuite's table: 0.8 m square, 5 cm thick, its top at 0.8 m.
    assert table["link"] == -1 and table["kind"] == "box"
    np.testing.assert_allclose(table["half_size_m"], [0.4, 0.4, 0.025])
    assert table["position_m"][2] + table["half_size_m"][2] == pytest.approx(0.8)
    pot = next(i for i, link in enumerate(log.attributes["links"]) if link["name"] == "pot_root")
    model = world._model.mj_model
    body = world._model.body_names.index("pot_root")
    assert sum(shape["link"] == pot for shape in shapes) == int((model.geom_bodyid == body).sum())
    scene = read_scene(log, 100)
    assert scene is not None and scene.arms is not None
    view = arms_view(scene.arms)
    assert view["groups"] == ["left_arm", "right_arm", "pot", "table"]


def test_cloth_is_triangles_of_vertices_without_shapes_of_their_own() -> None:
    world = BimanualWorld(task="two_arm_fold_towel")
    world.reset(Scenario(family="two_arm_fold_towel", world="bimanual", parameters={}), 0)
    attributes = world.log_attributes()
    vertices = [i for i, link in enumerate(attributes["links"]) if link["group"] == "cloth"]
    side = int(np.sqrt(len(vertices)))
    assert side * side == len(vertices) and len(attributes["faces"]) == 2 * (side - 1) ** 2
    assert {corner for face in attributes["faces"] for corner in face} == set(vertices)
    assert not {shape["link"] for shape in attributes["shapes"]} & set(vertices)
    names = [link["name"] for link in attributes["links"]]
    assert len(set(names)) == len(names)

"""The cloth under tension: it stays within what MuJoCo's explicit elastic forces are stable at."""

from __future__ import annotations

import dataclasses
import xml.etree.ElementTree as ElementTree
from typing import Any

import mujoco
import numpy as np
import numpy.typing as npt
import pytest

from simloop_bimanual.conventions import PHYSICS_PERIOD_NS
from simloop_bimanual.scenes.cloth import Cloth, add_cloth
from simloop_bimanual.scenes.towel import TOWEL
from simloop_bimanual.tasks.fold_towel import FoldTowelTask

FloatArray = npt.NDArray[np.float64]

STEP_S = PHYSICS_PERIOD_NS * 1e-9
STIFFEST = FoldTowelTask.parameters["towel_stiffness_ratio"][1]
LEFT, RIGHT = TOWEL.num_side * (TOWEL.num_side - 1), TOWEL.num_vertices - 1
"""Corners of the carried edge."""


def _lone(stiffness_ratio: float = 1.0) -> Any:
    """A towel in weightless space, with the options of robosuite's models."""
    cloth: Cloth = dataclasses.replace(TOWEL, young_modulus_npm2=TOWEL.young_modulus_npm2 * stiffness_ratio)
    root = ElementTree.Element("mujoco")
    options = {"timestep": str(STEP_S), "gravity": "0 0 0", "cone": "elliptic", "impratio": "20"}
    ElementTree.SubElement(root, "option", options)
    add_cloth(root, ElementTree.SubElement(root, "worldbody"), cloth, height_m=0.0)
    return mujoco.MjModel.from_xml_string(ElementTree.tostring(root, encoding="unicode"))


def _stretches(data: Any) -> FloatArray:
    """Length of every edge over its length at rest."""
    edges, rest, now = TOWEL.edges(), TOWEL.rest_m(), data.qpos.reshape(-1, 3).copy()
    now[:, :2] += rest
    lengths = np.linalg.norm(now[edges[:, 0]] - now[edges[:, 1]], axis=1)
    return np.asarray(lengths / np.linalg.norm(rest[edges[:, 0]] - rest[edges[:, 1]], axis=1))


def _jacobians(model: Any, data: Any, stretch: float) -> tuple[FloatArray, FloatArray]:
    """Stiffness and damping matrices (per mass) of the flat cloth, stretched along both sides; central differences."""
    flat = np.zeros((TOWEL.num_vertices, 3))
    flat[:, :2] = (stretch - 1.0) * TOWEL.rest_m()

    def force(position: FloatArray, velocity: FloatArray) -> FloatArray:
        data.qpos[:], data.qvel[:] = position, velocity
        mujoco.mj_forward(model, data)
        return np.array(data.qfrc_passive)

    small, still = 1e-6 * np.eye(model.nv), np.zeros(model.nv)
    at = flat.reshape(-1)
    per_mass = -1.0 / (2e-6 * TOWEL.mass_kg / TOWEL.num_vertices)
    stiffness = [force(at + row, still) - force(at - row, still) for row in small]
    damping = [force(at, row) - force(at, -row) for row in small]
    return per_mass * np.array(stiffness).T, per_mass * np.array(damping).T


@pytest.mark.parametrize("stretch", [1.0, 1.2])
def test_a_step_enlarges_no_motion_of_the_stiffest_cloth(stretch: float) -> None:
    """Spectral radius of semi-implicit Euler's step at the largest stiffness and stretch that a scenario allows."""
    model = _lone(STIFFEST)
    stiffness, damping = _jacobians(model, mujoco.MjData(model), stretch)
    speeds = np.hstack([-STEP_S * stiffness, np.eye(model.nv) - STEP_S * damping])
    places = np.hstack([np.eye(model.nv), np.zeros_like(damping)]) + STEP_S * speeds
    radius = np.abs(np.linalg.eigvals(np.vstack([places, speeds]))).max()
    assert np.abs(stiffness).max() * STEP_S**2 > 0.5  # the step is not short against the cloth's periods
    assert radius <= 1.0 + 1e-5  # rigid motions neither grow nor decay


@pytest.mark.parametrize("stiffness_ratio", [1.0, STIFFEST])
@pytest.mark.parametrize("pull_n", [5.0, 15.0])
def test_a_cloth_that_two_hands_pull_taut_comes_to_rest_when_one_lets_go(
    pull_n: float, stiffness_ratio: float
) -> None:
    model = _lone(stiffness_ratio)
    data = mujoco.MjData(model)
    for step in range(1000):
        hands = 0.0 if step >= 500 else pull_n * min(step / 250.0, 1.0)
        data.qfrc_applied[:] = -0.02 * data.qvel
        data.qfrc_applied[3 * LEFT + 1] -= hands
        data.qfrc_applied[3 * RIGHT + 1] += hands
        mujoco.mj_step(model, data)
        assert _stretches(data).max() < 1.3
        if step == 499:
            assert _stretches(data).max() > TOWEL.most_stretch_ratio  # the hands do pull
            assert np.abs(data.qvel).max() < 0.05
    assert not any(warning.number for warning in data.warning)
    assert np.abs(data.qvel).max() < 0.3


def test_a_limit_holds_every_edge_and_is_slack_on_the_flat_cloth() -> None:
    model = _lone()
    data = mujoco.MjData(model)
    mujoco.mj_forward(model, data)
    n = TOWEL.num_side
    assert model.ntendon == len(TOWEL.edges()) == 2 * n * (n - 1) + (n - 1) ** 2
    assert model.tendon_range[:, 1] == pytest.approx(TOWEL.most_stretch_ratio * data.ten_length)
    assert data.nefc == 0

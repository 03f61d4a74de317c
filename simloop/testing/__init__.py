"""Public toy worlds, scripted agents and conformance checks for plug-in authors and for simloop's own tests."""

from simloop.testing.any_call_agent import AnyCallAgent
from simloop.testing.braking_wall import BrakingWall
from simloop.testing.checks import check_agent, check_world
from simloop.testing.delayed_integrator import DelayedIntegrator
from simloop.testing.rollout import play, play_many, toy_case
from simloop.testing.scripted_agent import ScriptedAgent
from simloop.testing.wobbling_wall import WobblingWall

__all__ = [
    "AnyCallAgent",
    "BrakingWall",
    "DelayedIntegrator",
    "ScriptedAgent",
    "WobblingWall",
    "check_agent",
    "check_world",
    "play",
    "play_many",
    "toy_case",
]

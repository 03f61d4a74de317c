"""The blueprint library: the vehicles, walkers, props and sensors that can be spawned.

Ids and attributes are those of CARLA 0.9.16 (docs: carla.readthedocs.io/en/0.9.16/catalogue, ref_sensors), so that
scripts find what they look for. Sizes and masses are not those of CARLA's meshes: the Lincolns are the embedded world's
ego (``midsize_saloon``), everything else has the size of the embedded world's actors of its class.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass

from simloop_carla.server.sensor_blueprints import fixed, free, sensor_attributes
from simloop_carla.wire.structs import BOOL, FLOAT, INT, RGB_COLOUR, STRING, ActorAttribute, ActorDefinition
from simloop_driving.scenario.actor_state import ACTOR_DIMENSIONS_M

TAG_CAR, TAG_TRUCK, TAG_MOTORCYCLE, TAG_BICYCLE, TAG_PEDESTRIAN = 14, 15, 18, 19, 12
TAG_STATIC, TAG_DYNAMIC = 20, 21
"""Semantic tags of CARLA 0.9.16."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Body:
    """What stands on the road for a blueprint.

    Attributes:
        length_m, width_m, height_m: Outer size.
        mass_kg: Mass.
        tag: Semantic tag.
        actor_class: Name in the embedded world's ``ACTOR_CLASSES``: what cameras draw.
        wheels: Number of wheels.
        base_type: CARLA's word for the kind of vehicle.
    """

    length_m: float
    width_m: float
    height_m: float
    mass_kg: float
    tag: int
    actor_class: str
    wheels: int = 0
    base_type: str = ""


def _body(actor_class: str, mass_kg: float, tag: int, wheels: int = 0, base_type: str = "") -> Body:
    """Returns a body of the size that the embedded world's actors of a class have."""
    length_m, width_m, height_m = ACTOR_DIMENSIONS_M[actor_class]
    return Body(
        length_m=length_m,
        width_m=width_m,
        height_m=height_m,
        mass_kg=mass_kg,
        tag=tag,
        actor_class=actor_class,
        wheels=wheels,
        base_type=base_type,
    )


_SALOON = Body(
    length_m=4.70,
    width_m=1.85,
    height_m=1.46,
    mass_kg=1573.0,
    tag=TAG_CAR,
    actor_class="car",
    wheels=4,
    base_type="car",
)
_CAR = _body("car", 1500.0, TAG_CAR, 4, "car")
_VAN = Body(
    length_m=5.9,
    width_m=2.0,
    height_m=2.5,
    mass_kg=2500.0,
    tag=TAG_TRUCK,
    actor_class="truck",
    wheels=4,
    base_type="van",
)
_TRUCK = _body("truck", 15000.0, TAG_TRUCK, 4, "truck")
_MOTORCYCLE = _body("motorcycle", 300.0, TAG_MOTORCYCLE, 2, "motorcycle")
_BICYCLE = _body("bicycle", 90.0, TAG_BICYCLE, 2, "bicycle")
_WALKER = _body("pedestrian", 75.0, TAG_PEDESTRIAN)
_CONE = _body("cone", 5.0, TAG_DYNAMIC)
_BARRIER = _body("barrier", 1e9, TAG_STATIC)

BODIES: dict[str, Body] = {
    **dict.fromkeys(
        (
            "vehicle.audi.a2",
            "vehicle.audi.etron",
            "vehicle.audi.tt",
            "vehicle.bmw.grandtourer",
            "vehicle.chevrolet.impala",
            "vehicle.citroen.c3",
            "vehicle.dodge.charger_2020",
            "vehicle.dodge.charger_police",
            "vehicle.ford.crown",
            "vehicle.ford.mustang",
            "vehicle.jeep.wrangler_rubicon",
            "vehicle.mercedes.coupe",
            "vehicle.mercedes.coupe_2020",
            "vehicle.micro.microlino",
            "vehicle.mini.cooper_s",
            "vehicle.mini.cooper_s_2021",
            "vehicle.nissan.micra",
            "vehicle.nissan.patrol",
            "vehicle.seat.leon",
            "vehicle.tesla.model3",
            "vehicle.toyota.prius",
        ),
        _CAR,
    ),
    **dict.fromkeys(("vehicle.lincoln.mkz_2017", "vehicle.lincoln.mkz_2020"), _SALOON),
    **dict.fromkeys(("vehicle.ford.ambulance", "vehicle.mercedes.sprinter", "vehicle.volkswagen.t2"), _VAN),
    **dict.fromkeys(
        (
            "vehicle.carlamotors.carlacola",
            "vehicle.carlamotors.firetruck",
            "vehicle.carlamotors.european_hgv",
        ),
        _TRUCK,
    ),
    **dict.fromkeys(
        (
            "vehicle.harley-davidson.low_rider",
            "vehicle.kawasaki.ninja",
            "vehicle.vespa.zx125",
            "vehicle.yamaha.yzf",
        ),
        _MOTORCYCLE,
    ),
    **dict.fromkeys(
        ("vehicle.bh.crossbike", "vehicle.diamondback.century", "vehicle.gazelle.omafiets"), _BICYCLE
    ),
    **{f"walker.pedestrian.{number:04d}": _WALKER for number in range(1, 53)},
    "static.prop.trafficcone01": _CONE,
    "static.prop.constructioncone": _CONE,
    "static.prop.streetbarrier": _BARRIER,
}
"""Everything solid, by blueprint id."""

SENSOR_PREFIX = "sensor."

_PAINTS = ("180,20,20", "25,55,150", "215,215,220", "215,150,20", "115,120,125", "20,100,55")


def _vehicle(body: Body) -> list[ActorAttribute]:
    return [
        fixed("number_of_wheels", INT, str(body.wheels)),
        fixed("generation", INT, "1"),
        fixed("base_type", STRING, body.base_type),
        fixed("special_type", STRING, ""),
        fixed("object_type", STRING, ""),
        fixed("has_lights", BOOL, "true" if body.wheels == 4 else "false"),
        fixed("has_dynamic_doors", BOOL, "false"),
        ActorAttribute("color", RGB_COLOUR, _PAINTS[0], list(_PAINTS), True, False),
        free("role_name", STRING, "autopilot", "autopilot", "scenario", "ego_vehicle"),
        free("sticky_control", BOOL, "true"),
        free("driver_id", INT, "0"),
        free("ros_name", STRING, ""),
    ]


def _walker() -> list[ActorAttribute]:
    return [
        fixed("gender", STRING, "other"),
        fixed("age", STRING, "adult"),
        fixed("generation", INT, "2"),
        free("role_name", STRING, "pedestrian", "pedestrian"),
        free("is_invincible", BOOL, "true"),
        free("speed", FLOAT, "0.0", "0.0", "1.4", "2.9"),
    ]


@functools.cache
def definitions() -> dict[str, ActorDefinition]:
    """Returns every blueprint by its id."""
    attributes: dict[str, list[ActorAttribute]] = {}
    for name, body in BODIES.items():
        if name.startswith("vehicle."):
            attributes[name] = _vehicle(body)
        elif name.startswith("walker."):
            attributes[name] = _walker()
        else:
            attributes[name] = [free("role_name", STRING, "prop")]
    attributes["controller.ai.walker"] = [free("role_name", STRING, "default")]
    attributes |= sensor_attributes()
    return {
        name: ActorDefinition(uid, name, ",".join(name.split(".")), own)
        for uid, (name, own) in enumerate(attributes.items(), start=1)
    }

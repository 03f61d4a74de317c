"""The blueprint library: the vehicles, walkers, props and sensors that can be spawned.

Ids and attributes are those of CARLA 0.9.16 (docs: carla.readthedocs.io/en/0.9.16/catalogue, ref_sensors), so that
scripts find what they look for. Vehicles are about as large as the bounding boxes of CARLA's meshes, lorries and vans
without their mirrors; masses are typical of the class. Attributes that begin with ``simloop_`` are this server's own:
see ``vehicle_models``.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass

from simloop_carla.server.library.sensor_blueprints import fixed, free, sensor_attributes
from simloop_carla.wire.structs import BOOL, FLOAT, INT, RGB_COLOUR, STRING, ActorAttribute, ActorDefinition
from simloop_driving.scenario.actor_state import ACTOR_DIMENSIONS_M

TAG_CAR, TAG_TRUCK, TAG_BUS, TAG_MOTORCYCLE, TAG_BICYCLE, TAG_PEDESTRIAN = 14, 15, 16, 18, 19, 12
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
        generation, special_type: CARLA's attributes of these names.
    """

    length_m: float
    width_m: float
    height_m: float
    mass_kg: float
    tag: int
    actor_class: str
    wheels: int = 0
    base_type: str = ""
    generation: int = 1
    special_type: str = ""


def _vehicles(base_type: str, tag: int, actor_class: str, wheels: int, sizes: str) -> dict[str, Body]:
    """Returns vehicles by id; each line has id, length, width, height, mass, generation and special type."""
    bodies = {}
    for line in sizes.split("\n"):
        if not line.strip():
            continue
        name, length_m, width_m, height_m, mass_kg, generation, *special = line.split()
        bodies[f"vehicle.{name}"] = Body(
            length_m=float(length_m),
            width_m=float(width_m),
            height_m=float(height_m),
            mass_kg=float(mass_kg),
            tag=tag,
            actor_class=actor_class,
            wheels=wheels,
            base_type=base_type,
            generation=int(generation),
            special_type="".join(special),
        )
    return bodies


_CARS = """
    audi.a2 3.71 1.79 1.55 1000 1
    audi.etron 4.86 2.03 1.65 2500 1 electric
    audi.tt 4.18 1.99 1.39 1400 1
    bmw.grandtourer 4.61 2.24 1.67 1650 1
    chevrolet.impala 5.36 2.03 1.41 1700 1
    citroen.c3 3.99 1.85 1.62 1200 1
    dodge.charger_2020 5.01 1.88 1.54 1900 2
    dodge.charger_police 4.97 2.04 1.54 1900 1 emergency
    dodge.charger_police_2020 5.24 1.92 1.64 1900 2 emergency
    ford.crown 5.37 1.79 1.57 1800 2 taxi
    ford.mustang 4.72 1.89 1.30 1700 1
    jeep.wrangler_rubicon 3.87 1.91 1.88 1800 1
    lincoln.mkz_2017 4.90 2.13 1.51 1700 1
    lincoln.mkz_2020 4.89 1.84 1.49 1700 2
    mercedes.coupe 5.03 2.15 1.64 1800 1
    mercedes.coupe_2020 4.67 1.81 1.44 1700 2
    micro.microlino 2.21 1.48 1.38 600 1 electric
    mini.cooper_s 3.81 1.97 1.48 1200 1
    mini.cooper_s_2021 4.55 2.10 1.77 1300 2
    nissan.micra 3.63 1.85 1.50 1000 1
    nissan.patrol 4.60 1.93 1.86 2300 1
    nissan.patrol_2021 5.57 2.15 2.05 2400 2
    seat.leon 4.19 1.82 1.47 1300 1
    tesla.model3 4.79 2.16 1.49 1850 1 electric
    toyota.prius 4.51 2.01 1.52 1400 1
"""
_TRUCKS = """
    carlamotors.carlacola 5.20 2.40 2.47 5500 1
    carlamotors.european_hgv 7.94 2.50 3.46 9000 2
    carlamotors.firetruck 8.58 2.50 3.83 12000 2 emergency
    tesla.cybertruck 6.27 2.20 2.10 3000 1 electric
"""
_VANS = """
    ford.ambulance 6.36 2.20 2.43 4000 2 emergency
    mercedes.sprinter 5.92 1.99 2.73 2800 2
    volkswagen.t2 4.48 2.07 2.04 1300 1
    volkswagen.t2_2021 4.44 1.78 1.99 1300 2
"""
_BUSES = """
    mitsubishi.fusorosa 10.17 2.50 3.30 6500 2
"""
_MOTORCYCLES = """
    harley-davidson.low_rider 2.35 0.76 1.64 400 1
    kawasaki.ninja 2.03 0.80 1.62 300 1
    vespa.zx125 1.80 0.87 1.61 220 1
    yamaha.yzf 2.19 0.87 1.65 290 1
"""
_BICYCLES = """
    bh.crossbike 1.49 0.86 1.80 90 1
    diamondback.century 1.64 0.52 1.80 90 1
    gazelle.omafiets 1.84 0.52 1.80 95 1
"""


def _standing(actor_class: str, mass_kg: float, tag: int, size_m: str = "") -> Body:
    """Returns what is no vehicle; without a size it is as large as the embedded world's actors of its class."""
    length_m, width_m, height_m = (
        tuple(float(word) for word in size_m.split()) if size_m else ACTOR_DIMENSIONS_M[actor_class]
    )
    return Body(
        length_m=length_m,
        width_m=width_m,
        height_m=height_m,
        mass_kg=mass_kg,
        tag=tag,
        actor_class=actor_class,
    )


_FIXED_KG = 1e9
_CONE = _standing("cone", 5.0, TAG_DYNAMIC)
_PROPS = {
    "barrel": _standing("cone", 20.0, TAG_DYNAMIC, "0.62 0.62 0.95"),
    "bench01": _standing("barrier", _FIXED_KG, TAG_STATIC, "0.62 1.50 0.76"),
    "bin": _standing("barrier", _FIXED_KG, TAG_STATIC, "0.68 0.74 1.00"),
    "box03": _standing("barrier", 10.0, TAG_DYNAMIC, "0.40 0.60 0.30"),
    "constructioncone": _CONE,
    "container": _standing("barrier", _FIXED_KG, TAG_STATIC, "1.94 3.70 1.30"),
    "dirtdebris02": _standing("cone", _FIXED_KG, TAG_STATIC, "1.80 1.80 0.20"),
    "streetbarrier": _standing("barrier", _FIXED_KG, TAG_STATIC),
    "trafficcone01": _CONE,
    "trafficcone02": _CONE,
    "trafficwarning": _standing("barrier", _FIXED_KG, TAG_STATIC, "2.00 2.10 3.50"),
    "vendingmachine": _standing("barrier", _FIXED_KG, TAG_STATIC, "0.90 1.10 2.10"),
    "warningaccident": _standing("cone", 5.0, TAG_DYNAMIC, "0.60 1.00 1.20"),
    "warningconstruction": _standing("cone", 5.0, TAG_DYNAMIC, "0.60 1.00 1.20"),
}
_WALKER = _standing("pedestrian", 75.0, TAG_PEDESTRIAN)

BODIES: dict[str, Body] = {
    **_vehicles("car", TAG_CAR, "car", 4, _CARS),
    **_vehicles("truck", TAG_TRUCK, "truck", 4, _TRUCKS),
    **_vehicles("van", TAG_CAR, "truck", 4, _VANS),
    **_vehicles("bus", TAG_BUS, "truck", 4, _BUSES),
    **_vehicles("motorcycle", TAG_MOTORCYCLE, "motorcycle", 2, _MOTORCYCLES),
    **_vehicles("bicycle", TAG_BICYCLE, "bicycle", 2, _BICYCLES),
    **{f"walker.pedestrian.{number:04d}": _WALKER for number in range(1, 53)},
    **{f"static.prop.{name}": body for name, body in _PROPS.items()},
}
"""Everything solid, by blueprint id."""

SENSOR_PREFIX = "sensor."
EMBEDDED_VEHICLE = "simloop_vehicle"
"""Attribute of vehicles: the embedded world's vehicle whose size and dynamics it has; empty for its own."""
OUTER_SIZE = "simloop_size_m"
"""Attribute of everything solid: length, width and height with commas between them; empty for its own."""

_PAINTS = ("180,20,20", "25,55,150", "215,215,220", "215,150,20", "115,120,125", "20,100,55")


def _vehicle(body: Body) -> list[ActorAttribute]:
    return [
        fixed("number_of_wheels", INT, str(body.wheels)),
        fixed("generation", INT, str(body.generation)),
        fixed("base_type", STRING, body.base_type),
        fixed("special_type", STRING, body.special_type),
        fixed("object_type", STRING, ""),
        fixed("has_lights", BOOL, "true" if body.wheels == 4 else "false"),
        fixed("has_dynamic_doors", BOOL, "false"),
        ActorAttribute("color", RGB_COLOUR, _PAINTS[0], list(_PAINTS), True, False),
        free("role_name", STRING, "autopilot", "autopilot", "scenario", "ego_vehicle"),
        free("sticky_control", BOOL, "true"),
        free("driver_id", INT, "0", "0"),
        free("ros_name", STRING, ""),
        free(EMBEDDED_VEHICLE, STRING, ""),
        free(OUTER_SIZE, STRING, ""),
    ]


def _walker() -> list[ActorAttribute]:
    return [
        fixed("gender", STRING, "other"),
        fixed("age", STRING, "adult"),
        fixed("generation", INT, "2"),
        free("role_name", STRING, "pedestrian", "pedestrian"),
        free("is_invincible", BOOL, "true"),
        free("speed", FLOAT, "0.0", "0.0", "1.4", "2.9"),
        free(OUTER_SIZE, STRING, ""),
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
            attributes[name] = [free("role_name", STRING, "prop"), free(OUTER_SIZE, STRING, "")]
    attributes["controller.ai.walker"] = [free("role_name", STRING, "default")]
    attributes |= sensor_attributes()
    return {
        name: ActorDefinition(uid, name, ",".join(name.split(".")), own)
        for uid, (name, own) in enumerate(attributes.items(), start=1)
    }

"""Structs of CARLA 0.9.16 as tuples in the order in which their fields travel.

A struct is a MessagePack array of its fields, so a named tuple is packed as it is. Names, units and order are those of
``carla`` 0.9.16: metres, degrees (rotations and angular velocities), metres a second, x forward, y to the RIGHT, z up.
``decoding.decoder`` makes the function that reads and checks one.
"""

from __future__ import annotations

from typing import Annotated, NamedTuple

U8 = Annotated[int, (0, 0xFF)]
U16 = Annotated[int, (0, 0xFFFF)]
U32 = Annotated[int, (0, 0xFFFF_FFFF)]
I32 = Annotated[int, (-0x8000_0000, 0x7FFF_FFFF)]


class Vector2(NamedTuple):
    """Two numbers, as a point of a curve."""

    x: float
    y: float


class Vector3(NamedTuple):
    """A vector or a location."""

    x: float
    y: float
    z: float


class Rotation(NamedTuple):
    """Pitch, yaw and roll in degrees."""

    pitch: float
    yaw: float
    roll: float


class Transform(NamedTuple):
    """A pose."""

    location: Vector3
    rotation: Rotation


ORIGIN = Vector3(0.0, 0.0, 0.0)
IDENTITY = Transform(ORIGIN, Rotation(0.0, 0.0, 0.0))


class BoundingBox(NamedTuple):
    """A box; ``extent`` has half its sizes, ``location`` is relative to the actor's origin."""

    location: Vector3
    extent: Vector3
    rotation: Rotation
    actor_id: U32


class EpisodeSettings(NamedTuple):
    """What ``world.get_settings`` returns."""

    synchronous_mode: bool
    no_rendering_mode: bool
    fixed_delta_seconds: float | None
    substepping: bool
    max_substep_delta_time: float
    max_substeps: I32
    max_culling_distance: float
    deterministic_ragdolls: bool
    tile_stream_distance: float
    actor_active_distance: float
    spectator_as_ego: bool

    def packed(self) -> tuple[object, ...]:
        """Returns the struct with its optional field wrapped."""
        delta_s = self.fixed_delta_seconds
        return self._replace(fixed_delta_seconds=[False] if delta_s is None else [True, delta_s])  # type: ignore[arg-type]


DEFAULT_SETTINGS = EpisodeSettings(False, False, None, True, 0.01, 10, 0.0, True, 3000.0, 2000.0, True)
"""What a server starts with, and returns to after a load with ``reset_settings``."""


class AttributeValue(NamedTuple):
    """An attribute of an actor that is there; types as in ``ActorAttribute``."""

    id: str
    type: U8
    value: str


class ActorDescription(NamedTuple):
    """What an actor was spawned from."""

    uid: U32
    id: str
    attributes: list[AttributeValue]

    def value(self, name: str, otherwise: str = "") -> str:
        """Returns the value of an attribute."""
        return next((attribute.value for attribute in self.attributes if attribute.id == name), otherwise)


BOOL, INT, FLOAT, STRING, RGB_COLOUR = 1, 2, 3, 4, 5
"""Types of attributes."""


class ActorAttribute(NamedTuple):
    """An attribute of a blueprint."""

    id: str
    type: U8
    value: str
    recommended_values: list[str]
    is_modifiable: bool
    restrict_to_recommended: bool


class ActorDefinition(NamedTuple):
    """A blueprint."""

    uid: U32
    id: str
    tags: str
    attributes: list[ActorAttribute]


class Actor(NamedTuple):
    """An actor; ``stream_token`` is the 24 bytes of a sensor's stream and empty otherwise."""

    id: U32
    parent_id: U32
    description: ActorDescription
    bounding_box: BoundingBox
    semantic_tags: bytes
    stream_token: bytes


class VehicleControl(NamedTuple):
    """What ``vehicle.apply_control`` sends."""

    throttle: float
    steer: float
    brake: float
    hand_brake: bool
    reverse: bool
    manual_gear_shift: bool
    gear: I32


class AckermannControl(NamedTuple):
    """What ``vehicle.apply_ackermann_control`` sends: radians, rad/s, m/s, m/s2, m/s3."""

    steer: float
    steer_speed: float
    speed: float
    acceleration: float
    jerk: float


class AckermannSettings(NamedTuple):
    """Gains of the Ackermann controller."""

    speed_kp: float
    speed_ki: float
    speed_kd: float
    acceleration_kp: float
    acceleration_ki: float
    acceleration_kd: float


class WalkerControl(NamedTuple):
    """What ``walker.apply_control`` sends."""

    direction: Vector3
    speed: float
    jump: bool


class Gear(NamedTuple):
    """A forward gear."""

    ratio: float
    down_ratio: float
    up_ratio: float


class Wheel(NamedTuple):
    """A wheel; radius and position in centimetres, as CARLA has them."""

    tire_friction: float
    damping_rate: float
    max_steer_angle: float
    radius: float
    max_brake_torque: float
    max_handbrake_torque: float
    lat_stiff_max_load: float
    lat_stiff_value: float
    long_stiff_value: float
    position: Vector3


class VehiclePhysics(NamedTuple):
    """What ``vehicle.get_physics_control`` returns."""

    torque_curve: list[Vector2]
    max_rpm: float
    moi: float
    damping_rate_full_throttle: float
    damping_rate_zero_throttle_clutch_engaged: float
    damping_rate_zero_throttle_clutch_disengaged: float
    use_gear_autobox: bool
    gear_switch_time: float
    clutch_strength: float
    final_ratio: float
    forward_gears: list[Gear]
    mass: float
    drag_coefficient: float
    center_of_mass: Vector3
    steering_curve: list[Vector2]
    wheels: list[Wheel]
    use_sweep_wheel_collision: bool


class Weather(NamedTuple):
    """Weather; kept and returned, not simulated."""

    cloudiness: float
    precipitation: float
    precipitation_deposits: float
    wind_intensity: float
    sun_azimuth_angle: float
    sun_altitude_angle: float
    fog_density: float
    fog_distance: float
    fog_falloff: float
    wetness: float
    scattering_intensity: float
    mie_scattering_scale: float
    rayleigh_scattering_scale: float
    dust_storm: float


class OpendriveGeneration(NamedTuple):
    """Parameters of ``generate_opendrive_world``; accepted, as roads are drawn from the map itself."""

    vertex_distance: float
    max_road_length: float
    wall_height: float
    additional_width: float
    smooth_junctions: bool
    enable_mesh_visibility: bool
    enable_pedestrian_navigation: bool

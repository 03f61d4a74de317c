"""The sensors' blueprints: ids, attributes and defaults of CARLA 0.9.16.

Source: carla.readthedocs.io/en/0.9.16/ref_sensors. Attributes of lens and picture quality that the software renderer
has no counterpart of are there, so that scripts can set them, and change nothing.
"""

from __future__ import annotations

from simloop_carla.wire.structs import BOOL, FLOAT, INT, STRING, ActorAttribute

Defaults = dict[str, tuple[int, str]]

_LENS: Defaults = {
    "image_size_x": (INT, "800"),
    "image_size_y": (INT, "600"),
    "fov": (FLOAT, "90.0"),
    "lens_circle_falloff": (FLOAT, "5.0"),
    "lens_circle_multiplier": (FLOAT, "0.0"),
    "lens_k": (FLOAT, "-1.0"),
    "lens_kcube": (FLOAT, "0.0"),
    "lens_x_size": (FLOAT, "0.08"),
    "lens_y_size": (FLOAT, "0.08"),
}
_DEVELOPED: Defaults = {
    "enable_postprocess_effects": (BOOL, "true"),
    "exposure_mode": (STRING, "histogram"),
    "blade_count": (INT, "5"),
    **{
        name: (FLOAT, value)
        for name, value in {
            "bloom_intensity": "0.675",
            "fstop": "1.4",
            "iso": "100.0",
            "gamma": "2.2",
            "lens_flare_intensity": "0.1",
            "shutter_speed": "200.0",
            "min_fstop": "1.2",
            "exposure_compensation": "0.0",
            "exposure_min_bright": "10.0",
            "exposure_max_bright": "12.0",
            "exposure_speed_up": "3.0",
            "exposure_speed_down": "1.0",
            "calibration_constant": "16.0",
            "focal_distance": "1000.0",
            "blur_amount": "1.0",
            "blur_radius": "0.0",
            "motion_blur_intensity": "0.45",
            "motion_blur_max_distortion": "0.35",
            "motion_blur_min_object_screen_size": "0.1",
            "slope": "0.88",
            "toe": "0.55",
            "shoulder": "0.26",
            "black_clip": "0.0",
            "white_clip": "0.04",
            "temp": "6500.0",
            "tint": "0.0",
            "chromatic_aberration_intensity": "0.0",
            "chromatic_aberration_offset": "0.0",
        }.items()
    },
}
"""How a picture is exposed and graded: colour and event cameras."""
_EVENTS: Defaults = {
    "positive_threshold": (FLOAT, "0.3"),
    "negative_threshold": (FLOAT, "0.3"),
    "sigma_positive_threshold": (FLOAT, "0.0"),
    "sigma_negative_threshold": (FLOAT, "0.0"),
    "refractory_period_ns": (INT, "0"),
    "use_log": (BOOL, "true"),
    "log_eps": (FLOAT, "0.001"),
}
_SWEEP: Defaults = {
    "channels": (INT, "32"),
    "range": (FLOAT, "10.0"),
    "points_per_second": (INT, "56000"),
    "rotation_frequency": (FLOAT, "10.0"),
    "upper_fov": (FLOAT, "10.0"),
    "lower_fov": (FLOAT, "-30.0"),
    "horizontal_fov": (FLOAT, "360.0"),
}
_RETURNS: Defaults = {
    "atmosphere_attenuation_rate": (FLOAT, "0.004"),
    "dropoff_general_rate": (FLOAT, "0.45"),
    "dropoff_intensity_limit": (FLOAT, "0.8"),
    "dropoff_zero_intensity": (FLOAT, "0.4"),
    "noise_seed": (INT, "0"),
    "noise_stddev": (FLOAT, "0.0"),
}
_TICKS: Defaults = {"sensor_tick": (FLOAT, "0.0")}

SENSORS: dict[str, Defaults] = {
    "sensor.camera.rgb": {**_TICKS, **_LENS, **_DEVELOPED},
    "sensor.camera.depth": {**_TICKS, **_LENS},
    "sensor.camera.semantic_segmentation": {**_TICKS, **_LENS},
    "sensor.camera.instance_segmentation": {**_TICKS, **_LENS},
    "sensor.camera.normals": {**_TICKS, **_LENS},
    "sensor.camera.optical_flow": {**_TICKS, **_LENS},
    "sensor.camera.dvs": {**_TICKS, **_LENS, **_DEVELOPED, **_EVENTS},
    "sensor.lidar.ray_cast": {**_TICKS, **_SWEEP, **_RETURNS},
    "sensor.lidar.ray_cast_semantic": {**_TICKS, **_SWEEP},
    "sensor.other.radar": {
        **_TICKS,
        "horizontal_fov": (FLOAT, "30.0"),
        "vertical_fov": (FLOAT, "30.0"),
        "range": (FLOAT, "100.0"),
        "points_per_second": (INT, "1500"),
        "noise_seed": (INT, "0"),
    },
    "sensor.other.collision": {},
    "sensor.other.lane_invasion": {},
    "sensor.other.obstacle": {
        **_TICKS,
        "distance": (FLOAT, "5.0"),
        "hit_radius": (FLOAT, "0.5"),
        "only_dynamics": (BOOL, "false"),
        "debug_linetrace": (BOOL, "false"),
    },
    "sensor.other.imu": {
        **_TICKS,
        "noise_seed": (INT, "0"),
        **{f"noise_accel_stddev_{axis}": (FLOAT, "0.0") for axis in "xyz"},
        **{f"noise_gyro_stddev_{axis}": (FLOAT, "0.0") for axis in "xyz"},
        **{f"noise_gyro_bias_{axis}": (FLOAT, "0.0") for axis in "xyz"},
    },
    "sensor.other.gnss": {
        **_TICKS,
        "noise_seed": (INT, "0"),
        **{
            f"noise_{axis}_{kind}": (FLOAT, "0.0")
            for axis in ("lat", "lon", "alt")
            for kind in ("bias", "stddev")
        },
    },
}
"""Type and default of the attributes of each sensor, by blueprint id; every sensor has ``role_name``, too."""


def fixed(name: str, kind: int, value: str) -> ActorAttribute:
    """Returns an attribute that a client cannot change."""
    return ActorAttribute(name, kind, value, [], False, False)


def free(name: str, kind: int, value: str, *recommended: str) -> ActorAttribute:
    """Returns an attribute that a client may set to anything of its type."""
    return ActorAttribute(name, kind, value, list(recommended), True, False)


def sensor_attributes() -> dict[str, list[ActorAttribute]]:
    """Returns the attributes of each sensor, by blueprint id."""
    common: Defaults = {"role_name": (STRING, "front"), "ros_name": (STRING, "")}
    return {
        name: [free(key, kind, value) for key, (kind, value) in {**common, **own}.items()]
        for name, own in SENSORS.items()
    }

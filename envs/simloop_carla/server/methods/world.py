"""Episode, settings, map, weather and time."""

from __future__ import annotations

from typing import Any, NamedTuple

from simloop.errors import SimloopError
from simloop_carla.server.library.blueprints import definitions
from simloop_carla.server.net.rpc_server import MethodTable
from simloop_carla.server.simulator import Simulator
from simloop_carla.wire import streams
from simloop_carla.wire.map_names import FOLDER
from simloop_carla.wire.replies import DONE, VERSION, failure, refused, success
from simloop_carla.wire.structs import U16, U32, EpisodeSettings, OpendriveGeneration, Weather

LARGEST_STEP_S = 10.0
MOST_SUBSTEPS = 16
"""Most sub-steps of physics in a tick, as with CARLA's engine."""


class _Where(NamedTuple):
    """Where a traffic manager listens."""

    host: str
    port: U16


def register(table: MethodTable) -> None:
    """Adds the methods of this module."""

    @table.add("version")
    def version(simulator: Simulator) -> Any:
        return success(VERSION)

    @table.add("get_episode_info", is_of_episode=True)
    def get_episode_info(simulator: Simulator) -> Any:
        token = streams.token(streams.WORLD_STREAM, simulator.stream_port)
        return success([simulator.episode.number, [token]])

    @table.add("get_sensor_token", U32)
    def get_sensor_token(simulator: Simulator, stream: int) -> Any:
        simulator.streams.expect(stream)
        return success([streams.token(stream, simulator.stream_port)])

    @table.add("get_episode_settings")
    def get_episode_settings(simulator: Simulator) -> Any:
        return success(simulator.settings.packed())

    @table.add("set_episode_settings", EpisodeSettings)
    def set_episode_settings(simulator: Simulator, settings: EpisodeSettings) -> Any:
        delta_s = settings.fixed_delta_seconds
        if delta_s is not None and not 0.0 <= delta_s <= LARGEST_STEP_S:
            return failure(f"fixed_delta_seconds is {delta_s:g}; allowed: 0 (variable) to {LARGEST_STEP_S:g}")
        if settings.substepping and not 1 <= settings.max_substeps <= MOST_SUBSTEPS:
            return failure(f"max_substeps is {settings.max_substeps}; allowed: 1 to {MOST_SUBSTEPS}")
        if settings.substepping and settings.max_substep_delta_time <= 0.0:
            return failure(
                f"max_substep_delta_time is {settings.max_substep_delta_time:g}; allowed: more than 0 s"
            )
        if delta_s == 0.0:
            settings = settings._replace(fixed_delta_seconds=None)
        simulator.set_settings(settings)
        return success(simulator.frame)

    @table.add("tick_cue", ticks=True)
    def tick_cue(simulator: Simulator) -> Any:
        return success(simulator.tick())

    @table.add("get_map_info")
    def get_map_info(simulator: Simulator) -> Any:
        town = simulator.episode.town
        return success([f"{FOLDER}{town.name}", town.spawn_points])

    @table.add("get_map_data")
    def get_map_data(simulator: Simulator) -> Any:
        return success(simulator.episode.town.opendrive)

    @table.add("get_available_maps")
    def get_available_maps(simulator: Simulator) -> Any:
        return success(simulator.map_names())

    @table.add("get_required_files", str)
    def get_required_files(simulator: Simulator, folder: str) -> Any:
        name, _ = simulator.episode.town.navigation if folder.strip("/") == "Nav" else ("", b"")
        return success([name] if name else [])

    @table.add("request_file", str)
    def request_file(simulator: Simulator, name: str) -> Any:
        own, content = simulator.episode.town.navigation
        if own and name == own:
            return success(content)
        return failure(f"there is no file '{name[:80]}'")

    @table.add("load_new_episode", str, bool, U16, loads=True)
    def load_new_episode(simulator: Simulator, name: str, reset_settings: bool, layers: int) -> Any:
        try:
            simulator.load(name, reset_settings=reset_settings)
        except SimloopError:
            return refused(f"Map '{name[:80]}' not found")
        return DONE

    @table.add("copy_opendrive_to_file", str, OpendriveGeneration)
    def copy_opendrive_to_file(simulator: Simulator, document: str, parameters: OpendriveGeneration) -> Any:
        try:
            simulator.take_opendrive(document)
        except SimloopError as error:
            return refused(f"opendrive could not be correctly parsed: {error}")
        return DONE

    @table.add("load_map_layer", U16)
    @table.add("unload_map_layer", U16)
    def change_layers(simulator: Simulator, layers: int) -> Any:
        return DONE

    @table.add("get_actor_definitions")
    def get_actor_definitions(simulator: Simulator) -> Any:
        return success(list(definitions().values()))

    @table.add("get_weather_parameters")
    def get_weather_parameters(simulator: Simulator) -> Any:
        return success(simulator.weather)

    @table.add("set_weather_parameters", Weather)
    def set_weather_parameters(simulator: Simulator, weather: Weather) -> Any:
        simulator.weather = weather
        return DONE

    @table.add("get_imui_gravity")
    def get_imui_gravity(simulator: Simulator) -> Any:
        return success(simulator.episode.imu_gravity_mps2)

    @table.add("set_imui_gravity", float)
    def set_imui_gravity(simulator: Simulator, gravity_mps2: float) -> Any:
        simulator.episode.imu_gravity_mps2 = gravity_mps2
        return DONE

    @table.add("query_lights_state", str)
    def query_lights_state(simulator: Simulator, client: str) -> Any:
        return success([])

    @table.add("is_traffic_manager_running", U16)
    def is_traffic_manager_running(simulator: Simulator, port: int) -> Any:
        return success(port in simulator.traffic_managers)

    @table.add("get_traffic_manager_running", U16)
    def get_traffic_manager_running(simulator: Simulator, port: int) -> Any:
        return success([simulator.traffic_managers.get(port, ""), port])

    @table.add("add_traffic_manager_running", _Where)
    def add_traffic_manager_running(simulator: Simulator, where: Any) -> Any:
        is_new = where.port not in simulator.traffic_managers
        if is_new:
            simulator.traffic_managers[where.port] = where.host
        return success(is_new)

    @table.add("destroy_traffic_manager", U16)
    def destroy_traffic_manager(simulator: Simulator, port: int) -> Any:
        simulator.traffic_managers.pop(port, None)
        return success(True)

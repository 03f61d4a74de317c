"""How a two-arm world draws its cameras: the choices of its configuration."""

from __future__ import annotations

from typing import Final

from simloop.errors import ConfigurationError, UnknownNameError
from simloop_bimanual.rendering.gl_rendering import GL_MODES, check_gl
from simloop_bimanual.rendering.scene_meshes import PANDA
from simloop_bimanual.tasks import TASKS

RENDERERS: Final = ("software", *GL_MODES)
APPEARANCES: Final = ("auto", "plain", "detailed")


def checked_rendering(task: str, robots: tuple[str, ...], render: str, appearance: str) -> str:
    """Checks the world's options and returns the appearance that is drawn, ``"plain"`` or ``"detailed"``.

    Args:
        task: Name of the task.
        robots: robosuite's names of the robots.
        render: One of ``RENDERERS``.
        appearance: One of ``APPEARANCES``; ``"auto"`` is plain for the lift with Pandas and detailed for all else.

    Raises:
        ConfigurationError: An option is unknown, or there is no plain appearance of this world.
        MissingDependencyError: OpenGL is asked for and its library is not there.
    """
    where = "world config of the bimanual world"
    if render not in RENDERERS:
        raise UnknownNameError("render", str(render), RENDERERS, where=where)
    if appearance not in APPEARANCES:
        raise UnknownNameError("appearance", str(appearance), APPEARANCES, where=where)
    if render in GL_MODES:
        check_gl()
    has_plain = TASKS[task].has_shipped_meshes and set(robots) <= {PANDA}
    if appearance == "plain" and not has_plain:
        names = ", ".join(name for name in TASKS if TASKS[name].has_shipped_meshes)
        raise ConfigurationError(
            f"World config key 'appearance' is 'plain', which is drawn for {names} with Pandas only; got {task} with "
            f"{', '.join(robots)}. Take 'detailed' or 'auto'."
        )
    return "plain" if has_plain and appearance != "detailed" else "detailed"

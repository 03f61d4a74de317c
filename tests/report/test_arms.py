"""Arms that play in the page: what it gets of links and shapes, and that a browser draws and turns them."""

from __future__ import annotations

import html
import json
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from simloop.log import EpisodeLog
from simloop.report.arms import arms_view
from simloop.report.build import ReportFiles, build_report
from simloop.report.episode_view import episode_view
from simloop.report.scene import read_scene
from simloop.store.row import EpisodeStatus

from .browser import open_page
from .conftest import LINKS, TICK_NS, episode_log


@pytest.fixture(scope="module")
def log() -> EpisodeLog:
    return episode_log("arms", EpisodeStatus.FAIL, "time_limit", 2, 0)


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory, make_run: Callable[..., Path]) -> ReportFiles:
    folder = make_run(
        tmp_path_factory.mktemp("results") / "arms",
        seeds=1,
        scenarios=(("two_arm_lift", "arms"),),
        agents=("unified_scratch",),
        strategies=("naive_async",),
    )
    return build_report(folder)


def test_tracks_come_back_within_their_resolution(log: EpisodeLog) -> None:
    scene = read_scene(log, 40)
    assert scene is not None and scene.arms is not None
    assert len(scene.t_s) == 40
    np.testing.assert_allclose(scene.t_s / 0.05, np.round(scene.t_s / 0.05), atol=1e-9)  # whole control ticks
    view = arms_view(scene.arms)
    base, hand, pot = view["links"]
    assert base["p"] == [0, -500, 900] and "q" not in base  # never moves: one frame
    moved = np.cumsum(np.reshape(hand["p"], (-1, 3)), axis=0) / 1000.0
    assert moved.shape == (40, 3)
    np.testing.assert_allclose(moved[:, 0], 0.3 * np.sin(scene.t_s), atol=5.01e-4)
    turned = np.cumsum(np.reshape(pot["q"], (-1, 4)), axis=0) / 500.0
    np.testing.assert_allclose(turned[:, 3], np.sin(scene.t_s / 2), atol=1.01e-3)
    assert [link["group"] for link in view["links"]] == [0, 0, 1]
    assert view["groups"][0] == "left_arm" and view["faces"] == [[0, 1, 2]]


def test_quaternions_of_either_sign_are_one_turn() -> None:
    """q and -q are one rotation: between neighbours the shorter way is drawn."""
    angle = np.linspace(0.0, 1.0, 5)
    q = np.stack([np.cos(angle / 2), 0 * angle, 0 * angle, np.sin(angle / 2)], axis=1)
    signs = np.array([1, -1, -1, 1, -1])[:, None]
    table = {"t_ns": np.arange(5) * TICK_NS, "link": [0] * 5, "position_m": np.zeros((5, 3))}
    points = points_log()
    mixed = EpisodeLog.from_columns(
        {"world.links": LINKS, "world.motion": points.schemas["world.motion"]},
        {"world.links": table | {"quaternion": q * signs}, "world.motion": points.tables["world.motion"]},
        {"links": [{"name": "a", "group": "a", "parent": -1}]},
    )
    scene = read_scene(mixed, 100)
    assert scene is not None and scene.arms is not None
    np.testing.assert_array_equal(scene.arms.links[0].quaternion, q)


def points_log() -> EpisodeLog:
    return episode_log("bimanual", EpisodeStatus.SUCCESS, "", 0, 0)


def test_a_log_without_links_plays_its_points() -> None:
    scene = episode_view(points_log())["scene"]
    assert "points" in scene and "arms" not in scene


_USE_IT = """
<script>addEventListener("load", async () => {
  const $ = (id) => document.getElementById(id), seen = {};
  const key = (name) => document.body.dispatchEvent(new KeyboardEvent("keydown", { key: name, bubbles: true }));
  const painted = () => {
    const c = $("view"), pixels = c.getContext("2d").getImageData(0, 0, c.width, c.height).data;
    let sum = 0; for (let i = 0; i < pixels.length; i += 4) sum = (sum * 31 + pixels[i] + 2 * pixels[i + 1]) % 1000003;
    return sum;
  };
  const next = () => new Promise((done) => setTimeout(done, 50));
  location.hash = document.querySelector("#gallery a").getAttribute("href"); await next();
  const first = painted();
  key("End"); seen.played = painted() !== first;
  key("Home"); seen.again = painted() === first;
  key("]"); seen.turned = painted() !== first;
  $("view").dispatchEvent(new MouseEvent("dblclick")); seen.reset = painted() === first;
  document.documentElement.dataset.seen = JSON.stringify(seen);
});</script>
"""


@pytest.mark.browser
def test_a_browser_plays_and_turns_the_arms(report: ReportFiles, browser: str, tmp_path: Path) -> None:
    page = tmp_path / "used.html"
    page.write_text(report.report_html.read_text().replace("</body>", _USE_IT + "</body>"))
    document, _, network = open_page(browser, page.as_uri(), tmp_path)
    match = re.search(r'data-seen="([^"]*)"', document)
    assert match is not None, "the page did not get to the end"
    assert json.loads(html.unescape(match[1])) == dict.fromkeys(("played", "again", "turned", "reset"), True)
    assert 'data-errors="0"' in document and "data-hacked" not in document.split("<body")[0]
    assert network == []

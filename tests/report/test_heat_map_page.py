"""Heat maps, labels and traces in a page of a real browser: pointer, keys, links, no error."""

from __future__ import annotations

import html
import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from simloop.report.build import build_report
from simloop.store.row import EpisodeStatus

from .browser import open_page

_USE_IT = """
<script>addEventListener("load", async () => {
  const $ = (id) => document.getElementById(id), seen = {};
  const next = () => new Promise((done) => setTimeout(done, 50));
  const map = [...document.querySelectorAll("[data-map]")].find((m) => m.innerText.includes("/ mine / zero"));
  const svg = map.querySelector("svg.heat"), box = svg.getBoundingClientRect(), view = svg.viewBox.baseVal;
  const [left, top, right, bottom] = svg.dataset.plot.split(" ").map(Number);
  const point = (type, column, line) => svg.dispatchEvent(new MouseEvent(type, { bubbles: true,
    clientX: box.left + (left + (right - left) * (column + 0.5) / 5) / view.width * box.width,
    clientY: box.top + (bottom - (bottom - top) * (line + 0.5) / 4) / view.height * box.height }));
  seen.hidden = $("tip").hidden;
  point("pointermove", 0, 0); seen.hover = $("tip").innerText;
  seen.cursor = svg.querySelector(".cursor").getAttribute("width") > 0;
  svg.dispatchEvent(new Event("pointerleave")); seen.left = $("tip").hidden;
  point("click", 0, 0); svg.dispatchEvent(new Event("pointerleave")); seen.pinned = !$("tip").hidden;
  const key = (name, target = svg) => target.dispatchEvent(new KeyboardEvent("keydown", { key: name, bubbles: true }));
  key("ArrowRight"); seen.right = $("tip").innerText; key("ArrowUp"); seen.up = $("tip").innerText;
  key("Escape", document.body); seen.closed = $("tip").hidden;
  point("click", 2, 0); const link = $("tip").querySelector("a"); seen.link = link.getAttribute("href");
  location.hash = link.getAttribute("href"); await next();
  seen.title = $("e-title").textContent; seen.label = $("e-label").textContent; seen.tip = $("tip").hidden;
  seen.traces = $("traces").height > 0;
  location.hash = "#episodes"; await next();
  $("f-label").value = "preventable fail"; $("f-label").dispatchEvent(new Event("input"));
  seen.listed = $("rows").children.length;
  document.documentElement.dataset.seen = JSON.stringify(seen);
});</script>
"""


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory, make_run: Callable[..., Path], hostile_name: str) -> Path:
    """20 cases of 5 gaps and 4 speeds in a scenario with a hostile name; the judge avoids all but the first two."""
    folder = make_run(
        tmp_path_factory.mktemp("results") / "grid",
        seeds=20,
        scenarios=((hostile_name, "driving"),),
        agents=("judge", "mine"),
        strategies=("paused",),
        statuses={
            number: (EpisodeStatus.FAIL, "collision")
            if number in (0, 1, 60, 61, 62)
            else (EpisodeStatus.SUCCESS, "goal_held")
            for number in range(120)
        },
        parameters=lambda seed: {"gap_m": 10.0 + seed % 5, "speed_mps": 5.0 + 5.0 * (seed // 5)},
        criteria=({"preventable_fails": {"at_most": 0}},),
        reference={"agents": ["judge"], "timing": "zero", "strategy": "paused"},
        metric_thresholds={"jerk_rms_mps3": {"limits": {hostile_name: 2.0}, "higher_is_better": False}},
        heat_map={"x": "gap_m", "y": "speed_mps"},
    )
    return build_report(folder).report_html


@pytest.mark.browser
def test_cells_are_read_by_pointer_and_keys_and_lead_to_episodes(
    page: Path, browser: str, tmp_path: Path
) -> None:
    used = tmp_path / "used.html"
    used.write_text(page.read_text().replace("</body>", _USE_IT + "</body>"))
    document, console, network = open_page(browser, used.as_uri(), tmp_path)
    root = document[document.index("<html") : document.index(">", document.index("<html"))]
    assert 'data-errors="0"' in root and "data-hacked" not in root
    assert "CONSOLE" not in console and network == []
    match = re.search(r'data-seen="([^"]*)"', document)
    assert match is not None, "the page did not get to the end"
    seen = json.loads(html.unescape(match[1]))
    assert seen["hidden"] and seen["left"] and seen["closed"] and seen["tip"]
    assert seen["cursor"] and seen["pinned"] and seen["traces"]
    for text, gap, speed, verdict in (
        (seen["hover"], 10, 5, "1 unpreventable"),
        (seen["right"], 11, 5, "1 unpreventable"),
        (seen["up"], 11, 10, "1 pass"),
    ):
        assert text.startswith(f"gap in m: {gap}\nspeed in m/s: {speed}\n") and verdict in text
    assert seen["link"].startswith("#/episode/") and "fail (collision)" in seen["title"]
    assert seen["label"] == "preventable fail, avoided by judge"
    assert seen["listed"] == 1


def test_names_in_maps_and_labels_are_escaped(page: Path, hostile_name: str) -> None:
    text = page.read_text()
    assert hostile_name not in text
    assert text.count("&lt;/script&gt;") > 6
    for picture in page.parent.glob("heat_map_*.svg"):
        assert hostile_name not in picture.read_text()

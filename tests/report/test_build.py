"""The whole report of a made-up run: files, page in a real browser, escaping, size, films."""

from __future__ import annotations

import html
import html.parser
import json
import re
import xml.etree.ElementTree as ET
from collections.abc import Callable
from pathlib import Path
from typing import Any

import imageio.v2 as imageio
import numpy as np
import pytest

from simloop.log import Column, EpisodeLog, TableSchema
from simloop.report.build import MAX_VIDEOS, ReportFiles, build_report
from simloop.report.cells import is_judged
from simloop.report.contact_table import read_contacts
from simloop.report.episode_view import episode_view
from simloop.report.metric_gaps import metric_gaps
from simloop.report.page import build_page, script_json
from simloop.report.scene import read_scene, simplify
from simloop.report.verdict import judge
from simloop.report.video import draw_frame
from simloop.store.row import EpisodeStatus
from simloop.store.run_store import RunStore

from .browser import open_page
from .conftest import ACTORS, TICK_NS


@pytest.fixture(scope="module")
def report(
    tmp_path_factory: pytest.TempPathFactory, make_run: Callable[..., Path], hostile_name: str
) -> ReportFiles:
    """A small run of both domains with an infrastructure error, a NaN action and hostile names."""
    folder = make_run(
        tmp_path_factory.mktemp("results") / "made-up",
        seeds=1,
        scenarios=((hostile_name, "driving"), ("two_arm_lift", "bimanual")),
        agents=("expert", "unified_scratch"),
        strategies=("naive_async",),
        statuses={
            0: (EpisodeStatus.INFRA_ERROR, f"lost worker {hostile_name}"),
            1: (EpisodeStatus.AGENT_ERROR, "NaN action"),
        },
        criteria=({"all_episodes_ended": True}, {"metric": "success", "at_least": 0.0}),
    )
    return build_report(folder)


def page_data(page: str) -> dict[str, Any]:
    match = re.search(r'<script type="application/json" id="data">(.*?)</script>', page, re.DOTALL)
    assert match is not None
    data: dict[str, Any] = json.loads(match[1])
    return data


class _Links(html.parser.HTMLParser):
    """Collects everything that a browser would load, and the script elements."""

    def __init__(self) -> None:
        super().__init__()
        self.loads: list[str] = []
        self.scripts: list[str | None] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = dict(attrs)
        if tag == "script":
            self.scripts.append(values.get("id"))
        self.loads += [values[k] or "" for k in ("src", "srcset", "poster", "data") if k in values]
        if tag == "link":
            self.loads.append(values.get("href") or "")


def test_every_file_is_written(report: ReportFiles) -> None:
    folder = report.report_html.parent
    names = {p.name for p in folder.iterdir()}
    assert {
        "report.html",
        "junit.xml",
        "summary.md",
        "summary.json",
        "manifest.json",
        "parts",
        "video",
    } <= names
    assert report.verdict.exit_code == 4
    assert json.loads(report.summary_json.read_text())["verdict"]["exit_code"] == 4
    assert ET.parse(report.junit_xml).getroot().tag == "testsuites"


def test_only_parts_hold_the_episodes_identity(report: ReportFiles) -> None:
    folder = report.report_html.parent
    for name in ("summary.json", "summary.md", "junit.xml", "manifest.json"):
        text = (folder / name).read_text()
        assert "episode_id" not in text and "episode_hash" not in text


def test_the_page_is_one_small_file_that_loads_nothing(report: ReportFiles) -> None:
    page = report.report_html.read_text()
    assert len(page) < 5_000_000
    links = _Links()
    links.feed(page)
    assert links.loads == ["data:,"]
    assert "default-src 'none'" in page
    assert not re.search(r"@import|url\(", page)


def test_names_from_files_are_escaped(report: ReportFiles, hostile_name: str) -> None:
    page = report.report_html.read_text()
    assert hostile_name not in page
    links = _Links()
    links.feed(page)
    assert links.scripts == ["data", None]
    data = page_data(page)
    assert hostile_name in {row[3] for row in data["rows"]}


def test_json_in_a_script_element_comes_back_as_it_was() -> None:
    value = {"a": "</script><!-- & \u2028", "b": [1.5, None]}
    text = str(script_json(value))
    assert "<" not in text and "\u2028" not in text
    assert json.loads(text) == value


def test_failures_and_samples_are_embedded_with_what_the_page_plays(report: ReportFiles) -> None:
    data = page_data(report.report_html.read_text())
    by_status: dict[str, list[str]] = {}
    for row in data["rows"]:
        by_status.setdefault(row[1], []).append(row[0])
    assert all(data["details"][i]["log"] for i in by_status["fail"])
    assert data["details"][by_status["infra_error"][0]]["log"] is None
    assert data["details"][by_status["infra_error"][0]]["trace"].startswith("Traceback")
    logs = [d["log"] for d in data["details"].values() if d["log"]]
    road = next(log for log in logs if "actors" in log["scene"])
    assert [a["actor"] for a in road["scene"]["actors"]] == [0, 1, 2, 3]
    assert all(len(line) == 2 for line in road["scene"]["road"])
    arms = next(log for log in logs if "points" in log["scene"])
    assert [p["name"] for p in arms["scene"]["points"]] == ["left_gripper", "right_gripper", "pot"]
    assert sum(n for _, n, _, _ in arms["actions"]) in (90, 120)
    assert {s["name"] for s in arms["sensors"]} == {"front_camera", "ego_state"}


def test_metrics_without_a_value_are_named_with_their_reason(report: ReportFiles) -> None:
    page = report.report_html.read_text()
    reason = "no request carried a context"
    assert f"<td>{reason}" in page[page.index("metrics without a value in some episodes") :]
    details = page_data(page)["details"].values()
    shown = {d["metrics"].get("context_age_mean_ms") for d in details if d["log"]}
    assert f"no value: {reason}" in shown


def test_metrics_that_raised_open_the_list_and_a_long_one_says_how_much_it_leaves_out(
    report: ReportFiles, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = RunStore.open_read_only(report.report_html.parent)
    rows: list[dict[str, Any]] = store.read_rows().to_pylist()
    last = next(row for row in reversed(rows) if is_judged(row))
    raised = "the metric raised ZeroDivisionError: <0> (collision.py:7)"
    last["invalid_metrics"] = json.dumps(json.loads(last["invalid_metrics"]) | {"sparc": raised})
    gaps = metric_gaps(rows)
    names, num_judged = {gap.metric for gap in gaps}, sum(map(is_judged, rows))
    monkeypatch.setattr("simloop.report.page.MAX_GAPS_SHOWN", 3)
    page = build_page(store, rows, judge(rows, store.manifest), read_contacts(store, rows))
    summary = f"{len(names)} metrics without a value in some episodes, 1 of them raised an error</summary>"
    table = page[page.index(f"<details open><summary>{summary}") :]
    table = table[: table.index("</details>")]
    shown = re.findall(r"<tr><td>(.*?)</td><td class=\"num\">(.*?)</td><td>(.*?)</td></tr>", table)
    assert len(shown) == 3
    assert shown[0] == ("sparc", f"1 of {num_judged}", html.escape(raised))
    assert f"{len(gaps) - 3} more pairs of metric and reason" in table


def test_films_show_failures_in_a_codec_that_browsers_play(report: ReportFiles) -> None:
    assert 1 <= len(report.videos) <= MAX_VIDEOS
    reader: Any = imageio.get_reader(report.videos[0], format="FFMPEG")
    facts = reader.get_meta_data()
    frames = list(reader.iter_data())
    first, last = np.asarray(frames[0]), np.asarray(frames[-1])
    reader.close()
    assert (facts["codec"], facts["size"]) == ("h264", (640, 360))
    assert facts["pix_fmt"].startswith("yuv420p")
    assert np.abs(first.astype(float) - last.astype(float)).max() > 50


def test_a_second_report_replaces_the_first(report: ReportFiles) -> None:
    again = build_report(report.report_html.parent)
    assert again.report_html.read_text() == report.report_html.read_text()
    assert sorted(p.name for p in again.report_html.parent.glob("video/*")) == sorted(
        p.name for p in report.videos
    )


def test_simplified_lines_keep_their_bends() -> None:
    straight = np.stack([np.linspace(0.0, 100.0, 101), np.zeros(101)], axis=1)
    assert simplify(straight, 0.1).tolist() == [[0.0, 0.0], [100.0, 0.0]]
    angle = np.linspace(0.0, np.pi, 400)
    arc = 50.0 * np.stack([np.cos(angle), np.sin(angle)], axis=1)
    kept = simplify(arc, 0.1)
    middles = 0.5 * (kept[1:] + kept[:-1])
    assert 10 < len(kept) < 60
    assert (50.0 - np.hypot(middles[:, 0], middles[:, 1])).max() <= 0.1 + 1e-9


@pytest.mark.browser
def test_the_check_sees_a_request_and_an_error(browser: str, tmp_path: Path) -> None:
    page = tmp_path / "loud.html"
    page.write_text(
        '<!doctype html><html><img src="http://simloop.invalid/x.png"><script>throw Error()</script>'
    )
    _, console, network = open_page(browser, page.as_uri(), tmp_path)
    assert network[0] == "http://simloop.invalid/x.png"
    assert "CONSOLE" in console


@pytest.mark.browser
@pytest.mark.parametrize("page", ["overview", "episode", "no log"])
def test_it_opens_from_disk_without_error_or_request(
    report: ReportFiles, browser: str, tmp_path: Path, page: str
) -> None:
    data = page_data(report.report_html.read_text())
    has_log = {i: bool(d["log"]) for i, d in data["details"].items()}
    fragment = {
        "overview": "",
        "episode": f"#/episode/{next(i for i, has in has_log.items() if has)}",
        "no log": f"#/episode/{next(i for i, has in has_log.items() if not has)}",
    }[page]
    document, console, network = open_page(browser, report.report_html.as_uri() + fragment, tmp_path)
    root = document[document.index("<html") : document.index(">", document.index("<html"))]
    assert 'data-ready="true"' in root
    assert 'data-errors="0"' in root and 'data-resources="0"' in root
    assert "data-hacked" not in root
    assert "CONSOLE" not in console
    assert network == []
    if page == "overview":
        assert document.count('href="#/episode/') >= len(data["rows"])
    else:
        assert f"simloop replay {fragment.rsplit('/', maxsplit=1)[1]}" in document
        assert ('id="e-log" hidden' in document) == (page == "no log")


# The test draws the frames: how many a browser draws in a second is the machine's business.
_USE_IT = """
<script>
const frames = []; let clock_ms = 1000;
performance.now = () => clock_ms;
window.requestAnimationFrame = (draw) => frames.push(draw);
const drawFrame = () => { clock_ms += 50; frames.splice(0).forEach((draw) => draw(clock_ms)); };
addEventListener("load", async () => {
  const $ = (id) => document.getElementById(id), seen = {};
  const set = (id, value) => { $(id).value = value; $(id).dispatchEvent(new Event("input")); };
  const key = (name) => document.body.dispatchEvent(new KeyboardEvent("keydown", { key: name, bubbles: true }));
  const painted = (id) => {
    const c = $(id), pixels = c.getContext("2d").getImageData(0, 0, c.width, c.height).data;
    let sum = 0; for (let i = 0; i < pixels.length; i += 4) sum = (sum * 31 + pixels[i] + 2 * pixels[i + 1]) % 1000003;
    return sum;
  };
  set("f-status", "fail"); seen.fails = $("rows").children.length;
  set("f-text", "no such reason"); seen.none = $("rows").children.length; set("f-text", ""); set("f-status", "");
  seen.all = $("rows").children.length;
  const next = () => new Promise((done) => setTimeout(done, 50));
  location.hash = document.querySelector("#gallery a").getAttribute("href"); await next();
  seen.title = $("e-title").textContent; seen.start = $("clock").textContent; const first = painted("view");
  key("ArrowRight"); seen.step = $("clock").textContent; key("End"); seen.end = $("clock").textContent;
  seen.moved = painted("view") !== first; seen.now = $("now").textContent; const whole = painted("timeline");
  key("+"); seen.zoomed = painted("timeline") !== whole;
  key("Home"); key(" "); drawFrame(); drawFrame(); seen.played = $("clock").textContent;
  key(" "); drawFrame(); seen.paused = $("clock").textContent;
  const light = getComputedStyle(document.body).backgroundColor; $("theme").click();
  seen.themes = getComputedStyle(document.body).backgroundColor !== light;
  key("Escape"); await next(); seen.back = !$("overview").hidden;
  document.documentElement.dataset.seen = JSON.stringify(seen);
});</script>
"""


@pytest.mark.browser
def test_it_filters_plays_and_obeys_the_keyboard(report: ReportFiles, browser: str, tmp_path: Path) -> None:
    page = tmp_path / "used.html"
    page.write_text(report.report_html.read_text().replace("</body>", _USE_IT + "</body>"))
    document, _, _ = open_page(browser, page.as_uri(), tmp_path)
    match = re.search(r'data-seen="([^"]*)"', document)
    assert match is not None, "the page did not get to the end"
    seen = json.loads(html.unescape(match[1]))
    counts = report.verdict.counts
    assert (seen["fails"], seen["none"], seen["all"]) == (counts["fail"], 0, sum(counts.values()))
    assert "fail (" in seen["title"]
    assert (
        seen["start"] == "0.00 / 4.50 s"
        and seen["step"] == "0.05 / 4.50 s"
        and seen["end"] == "4.50 / 4.50 s"
    )
    assert seen["moved"] and seen["zoomed"] and seen["themes"] and seen["back"]
    assert "It was computed from what was seen at" in seen["now"]
    assert seen["played"] == seen["paused"] == "0.10 / 4.50 s"


def test_a_scene_draws_who_is_there_in_the_size_of_the_moment() -> None:
    t_ns = np.arange(4) * TICK_NS
    table = {
        "t_ns": np.repeat(t_ns, 2),
        "actor": [0, 1] * 4,
        "x_m": [0.0, 30.0, 5.0, 30.0, 9.0, 30.0, 10.0, 30.0],
        "y_m": [0.0, 3.0, 0.0, 3.0, 1.0, 3.0, 5.0, 3.0],
        "yaw_rad": [0.1, 0.0, 0.1, 0.0, 0.8, 0.0, 1.5, 0.0],
        "speed_mps": [5.0] * 8,
        "length_m": [4.7, 0.1, 4.7, 0.1, 4.7, 0.5, 4.7, 1.0],
        "width_m": [1.9, 0.1, 1.9, 0.1, 1.9, 0.1, 1.9, 0.1],
        "is_present": [True, False, True, True, True, True, True, False],
    }
    actors = TableSchema(columns=(*ACTORS.columns, Column(name="is_present", dtype="bool")))
    signals = TableSchema(columns=tuple(Column(name=n, dtype="int64") for n in ("t_ns", "signal", "state")))
    log = EpisodeLog.from_columns(
        {"world.actors": actors, "world.signals": signals},
        {"world.actors": table, "world.signals": {"t_ns": [0, TICK_NS], "signal": [1, 1], "state": [0, 2]}},
        {
            "paths": [[[0.0, 0.0], [20.0, 0.0]], [[30.0, 3.0], [40.0, 3.0]]],
            "signals": [
                {"kind": "stop", "x_m": 1.0, "y_m": 2.0, "yaw_rad": 0.0},
                {"kind": "traffic_light", "x_m": 3.0, "y_m": 4.0, "yaw_rad": 0.0},
            ],
            "stop_lines": [[[8.0, -1.0], [8.0, 1.0], 1], [[9.0, -1.0], [9.0, 1.0], -1]],
        },
    )
    scene = read_scene(log, 100)
    assert scene is not None and len(scene.paths) == 2
    assert scene.course_rad == pytest.approx(0.1)  # it turns: the way that it came
    light = scene.signals[1]
    assert [light.state_at(t) for t in (0.0, 0.04, 0.05, 1.0)] == [0, 0, 2, 2]
    assert scene.signals[0].state_at(1.0) is None
    view = episode_view(log)["scene"]
    ego, door = view["actors"]
    assert (ego["length"], door["length"], door["width"]) == (4.7, [0.0, 0.1, 0.5, 0.0], 0.1)
    assert door["x"] == [None, 30.0, 30.0, None]
    assert view["stops"] == [[[[8.0, -1.0], [8.0, 1.0]], 1], [[[9.0, -1.0], [9.0, 1.0]], -1]]
    assert view["signals"][1] == {
        "kind": "traffic_light",
        "x": 3.0,
        "y": 4.0,
        "changes": [[0.0, 0], [50.0, 2]],
    }
    frames = [draw_frame(scene, t, "") for t in (0.0, 0.05)]
    green, red = (18, 128, 92), (196, 48, 43)
    assert [bool((f == c).all(axis=2).any()) for f in frames for c in (green, red)] == [
        True,
        False,
        False,
        True,
    ]


def test_an_episode_that_was_lost_before_its_first_tick_has_no_actions() -> None:
    ticks = TableSchema(
        columns=tuple(Column(name=name, dtype="int64") for name in ("t_ns", "request", "action_age_ns"))
    )
    log = EpisodeLog.from_columns(
        {"ticks": ticks}, {"ticks": {"t_ns": [], "request": [], "action_age_ns": []}}
    )
    assert episode_view(log)["actions"] == []

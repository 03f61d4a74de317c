"""Heat maps: bins, counts by cell, which parameters are shown, and the drawing."""

from __future__ import annotations

import dataclasses
import re
import xml.etree.ElementTree as ET
from typing import Any

import numpy as np
import pytest

from simloop.preventability import label_rows
from simloop.report.heat_map import LABELLED, UNLABELLED, HeatMap, heat_maps, make_axis
from simloop.report.heat_map_svg import figure_svg, panel_svg, script_data
from simloop.report.parameter_names import UNITS, axis_title, span_text, split_unit, value_text
from simloop.scenario_files import UNIT_SUFFIXES

REFERENCE = {"agents": ["careful"], "timing": "zero", "strategy": "paused"}
SPEEDS, GAPS, LATERALS = (10.0, 20.0), tuple(range(1, 11)), (0.0, 0.1, 0.2, 0.3)


def row(agent: str, status: str, parameters: dict[str, Any], **columns: Any) -> dict[str, Any]:
    case = "/".join(str(v) for v in parameters.values())
    return {
        "episode_id": f"{agent}-{case}",
        "case_id": case,
        "scenario": "cut_in",
        "world": "driving",
        "agent": agent,
        "timing": "zero",
        "strategy": "paused",
        "status": status,
        "collision": status == "fail",
        "impact_speed_mps": 3.0,
        **{f"param_{name}": value for name, value in parameters.items()},
    } | columns


def grid_rows() -> list[dict[str, Any]]:
    """Mine crashes at gaps up to 4 m, or 7 m at 20 m/s; the careful one up to 3 m."""
    rows = []
    for speed in SPEEDS:
        for gap in GAPS:
            for lateral in LATERALS:
                parameters = {
                    "ego_speed_mps": speed,
                    "gap_m": float(gap),
                    "lateral_speed_mps": lateral,
                    "side": "left",
                }
                limit = 4 if speed == 10.0 else 7
                rows.append(row("mine", "fail" if gap <= limit else "success", parameters))
                rows.append(row("careful", "fail" if gap <= 3 else "success", parameters))
    return rows


def maps_of(rows: list[dict[str, Any]], wanted: dict[str, str] | None = None) -> list[HeatMap]:
    return heat_maps(rows, label_rows(rows, REFERENCE), REFERENCE, wanted or {})


def test_every_cell_counts_its_labels() -> None:
    mine, careful = maps_of(grid_rows())
    assert (mine.title, mine.is_reference) == ("cut_in / mine / zero / paused", False)
    assert (careful.title, careful.is_reference) == ("cut_in / careful / zero / paused", True)
    assert (mine.categories, careful.categories) == (LABELLED, UNLABELLED)
    assert (mine.x.name, mine.y.name) == ("gap_m", "lateral_speed_mps")
    assert [p.title for p in mine.panels] == ["ego speed 10 m/s (36 km/h)", "ego speed 20 m/s (72 km/h)"]
    slow, fast = mine.panels
    # 4 lateral speeds: 3 gaps that nobody avoids, then one (or four) that the careful one avoids.
    assert slow.totals == [24, 4, 12, 0] and fast.totals == [12, 16, 12, 0]
    assert mine.totals == [36, 20, 24, 0] and careful.totals == [56, 24]
    assert slow.counts.shape == (4, 10, 4)
    assert slow.counts[:, 3].tolist() == [[0, 1, 0, 0]] * 4
    assert slow.episodes[(2, 3)] == ["mine-10.0/4.0/0.2/left"]


def test_an_episode_without_a_label_is_counted_as_that() -> None:
    rows = grid_rows()
    rows[0] = rows[0] | {"status": "agent_error", "collision": None}
    assert maps_of(rows)[0].totals == [36, 20, 23, 1]
    lost = rows[0] | {"status": "infra_error"}
    assert sum(maps_of([lost, *rows[1:]])[0].totals) == 79


def test_the_suite_says_what_stands_on_the_axes() -> None:
    wanted = {"x": "ego_speed_mps", "y": "gap_m", "panels": "lateral_speed_mps"}
    (mine, _) = maps_of(grid_rows(), wanted)
    assert (mine.x.name, mine.y.name, len(mine.panels)) == ("ego_speed_mps", "gap_m", 4)
    assert mine.x.labels == ("10", "20") and len(mine.y) == 10
    (flat, _) = maps_of(grid_rows(), {"x": "gap_m", "y": "ego_speed_mps"})
    assert [p.title for p in flat.panels] == [""] and flat.totals == mine.totals
    (chosen, _) = maps_of(grid_rows(), {"x": "gap_m", "y": "no_such_m"})
    assert (chosen.x.name, chosen.y.name) == ("gap_m", "lateral_speed_mps")


def test_there_is_no_map_of_few_episodes_or_one_parameter() -> None:
    assert maps_of(grid_rows()[:10]) == []
    one = [r for r in grid_rows() if r["param_lateral_speed_mps"] == 0.1 and r["param_ego_speed_mps"] == 10.0]
    assert maps_of(one * 2) == []


def test_drawn_values_get_bins_and_panels_of_equal_numbers() -> None:
    rng = np.random.Generator(np.random.Philox(7))
    draws = rng.uniform((5.0, 1.0, 2.0), (30.0, 9.0, 3.0), size=(400, 3))
    rows = [
        row("mine", "fail" if gap < 10.0 else "success", {"gap_m": gap, "thw_s": thw, "rate_mps2": rate})
        for gap, thw, rate in draws.tolist()
    ]
    (found,) = heat_maps(rows, (), {}, {"x": "gap_m", "y": "thw_s", "panels": "rate_mps2"})
    assert [sum(p.totals) for p in found.panels] == [100] * 4
    assert found.totals == [int(np.sum(draws[:, 0] >= 10.0)), int(np.sum(draws[:, 0] < 10.0))]
    assert found.x.edges[0] == draws[:, 0].min() and found.x.edges[-1] == draws[:, 0].max()
    counts = sum(p.counts for p in found.panels)
    expected, _, _ = np.histogram2d(draws[:, 1], draws[:, 0], bins=[found.y.edges, found.x.edges])
    assert np.array_equal(np.sum(counts, axis=2), expected)


@pytest.mark.parametrize(
    ("values", "num_bins", "labels"),
    [
        ([1.0, 2.0, 3.0], 5, ("1", "2", "3")),
        ([1.0, 2.0, 5.0], 5, ("1", "2", "3", "4", "5")),
        ([0.0, 0.1, 0.2, 0.3, 0.4], 2, ("0 to 0.2", "0.3 to 0.4")),
        (list(range(1, 120, 2)), 20, tuple(f"{v} to {v + 4}" for v in range(1, 120, 6))),
        ([7.0], 4, ("7",)),
        ([0.0, 1.0, 4.0, 4.1234], 2, ("0 to 2.062", "2.062 to 4.123")),
    ],
)
def test_bins_hold_whole_values_of_a_lattice(
    values: list[float], num_bins: int, labels: tuple[str, ...]
) -> None:
    axis = make_axis("gap_m", np.array(values, dtype=np.float64), num_bins)
    assert axis.labels == labels
    numbers = axis.bin_of(np.array(values, dtype=np.float64))
    assert np.all(np.diff(numbers) >= 0) and numbers[0] == 0 and numbers[-1] == len(axis) - 1
    assert np.all((axis.edges[numbers] <= values) & (values <= axis.edges[numbers + 1]))


def _area(path: str) -> float:
    return sum(float(w) * float(h) for w, h in re.findall(r"h([\d.]+)v([\d.]+)h-", path))


def test_the_painted_area_is_in_proportion_to_the_counts() -> None:
    mine, _ = maps_of(grid_rows())
    panel = mine.panels[1]
    root = ET.fromstring(panel_svg(mine, panel, 1))
    assert root.get("data-panel") == "1" and root.get("tabindex") == "0"
    area = {p.get("class"): _area(p.get("d") or "") for p in root.iter("{http://www.w3.org/2000/svg}path")}
    share = area["h0"] / sum(area.values())
    assert share == pytest.approx(12 / 40, abs=0.01) and area["h1"] / sum(area.values()) == pytest.approx(
        0.4, abs=0.01
    )
    assert root.get("aria-label") == (
        "cut_in / mine / zero / paused, ego speed 20 m/s (72 km/h): 12 pass, 16 preventable fail, 12 unpreventable"
    )


def test_small_cells_show_the_worst() -> None:
    mine, _ = maps_of(grid_rows())
    counts = np.zeros((30, 60, 4), dtype=np.int64)
    counts[0, :4] = [[5, 0, 0, 0], [5, 0, 1, 0], [5, 1, 1, 1], [5, 0, 1, 1]]
    wide = make_axis("gap_m", np.arange(60.0), 60)
    high = make_axis("lateral_speed_mps", np.arange(30.0), 30)
    small = dataclasses.replace(mine, x=wide, y=high)
    root = ET.fromstring(panel_svg(small, dataclasses.replace(mine.panels[0], counts=counts), 0))
    area = {p.get("class"): _area(p.get("d") or "") for p in root.iter("{http://www.w3.org/2000/svg}path")}
    assert area.keys() == {"h0", "h1", "h2", "h3"}
    assert [area[c] for c in ("h1", "h2", "h3")] == pytest.approx([area["h0"]] * 3)


def test_the_picture_escapes_names_and_has_a_legend(hostile_name: str) -> None:
    rows = [r | {"scenario": hostile_name} for r in grid_rows()]
    picture = figure_svg(maps_of(rows)[0])
    texts = [t.text for t in ET.fromstring(picture).iter("{http://www.w3.org/2000/svg}text")]
    assert f"{hostile_name} / mine / zero / paused" in texts
    assert {"pass: 36", "preventable fail: 20", "unpreventable: 24"} <= set(texts)
    assert {"gap in m", "lateral speed in m/s", "ego speed 10 m/s (36 km/h)"} <= set(texts)


def test_the_script_knows_counts_and_episodes_of_every_cell() -> None:
    mine, careful = (script_data(m) for m in maps_of(grid_rows()))
    assert mine["x"][0] == "gap in m" and mine["y"][1] == ["0", "0.1", "0.2", "0.3"]
    assert mine["panels"][0]["3"] == [[0, 1, 0, 0], ["mine-10.0/4.0/0.0/left"]]
    assert careful["panels"][0]["3"] == [[1, 0], []]


def test_parameters_are_written_with_their_units() -> None:
    assert set(UNITS) == set(UNIT_SUFFIXES)
    assert all(not long.endswith(short) for i, short in enumerate(UNITS) for long in list(UNITS)[i + 1 :])
    assert split_unit("ego_speed_mps") == ("ego speed", "m/s")
    assert split_unit("cut_in_speed_ratio") == ("cut in speed ratio", "")
    assert (
        axis_title("deceleration_mps2") == "deceleration in m/s²"
        and axis_title("actor_count") == "actor count"
    )
    assert value_text("gap_m", 12.0) == "gap 12 m" and value_text("cut_in_side", "left") == "cut in side left"
    assert span_text("gap_m", 5.0, 7.25) == "gap 5 to 7.25 m"
    assert span_text("ego_speed_mps", 10 / 3.6, 30 / 3.6) == "ego speed 2.78 to 8.33 m/s (10 to 30 km/h)"
    assert value_text("ego_speed_mps", 130 / 3.6) == "ego speed 36.1 m/s (130 km/h)"

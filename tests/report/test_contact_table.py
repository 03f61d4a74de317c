"""The table of contacts: sums against figures worked out by hand, worlds without forces, escaped names."""

from __future__ import annotations

import csv
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from simloop.report.build import ReportFiles, build_report
from simloop.report.cells import Rows, shared_rows
from simloop.report.contact_table import ContactPair, Contacts, contact_tables, read_contacts
from simloop.report.criticality import criticality_panels
from simloop.store.row import EpisodeStatus
from simloop.store.run_store import RunStore

FAIL = (EpisodeStatus.FAIL, "time_limit")


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory, make_run: Callable[..., Path]) -> ReportFiles:
    """Three timings by two seeds of one agent in each world; every episode fails, so that every log is kept."""
    folder = make_run(
        tmp_path_factory.mktemp("results") / "contacts",
        seeds=2,
        scenarios=(("lift", "arms"), ("cut_in", "driving")),
        agents=("expert",),
        strategies=("naive_async",),
        statuses={n: FAIL if n < 11 else (EpisodeStatus.FAIL, "collision") for n in range(12)},
        motion_metrics=["ldlj", "reaction_mean_ms"],
    )
    return build_report(folder)


@pytest.fixture(scope="module")
def rows(report: ReportFiles) -> Rows:
    return shared_rows(RunStore.open_read_only(report.report_html.parent).read_rows())


def test_figures_of_a_pair(report: ReportFiles, rows: Rows, hostile_name: str) -> None:
    contacts = contacts_of(report, rows).merged(("scenario", "agent"))
    touch, grasp, crash = contacts.pairs
    assert contacts.num_logs == {("lift", "expert"): 6, ("cut_in", "expert"): 6}
    assert (touch.class_pair, touch.is_collision) == ("left_arm-right_arm", True)  # collisions first
    assert grasp.class_pair == f"left_gripper-{hostile_name}"
    # Six episodes with two such contacts each; episode number n has forces of 10 + n and 20 + n newton.
    assert (grasp.num_contacts, len(grasp.episodes)) == (12, 6)
    assert grasp.duration_s == pytest.approx(6 * 1.25)
    assert grasp.impulse_newton_s == pytest.approx(6 * 8.0)
    assert (grasp.peak_normal_force_n, grasp.max_penetration_m) == (25.0, 0.001)
    hardest = next(row for row in rows if row["episode_id"] == grasp.hardest_episode)
    assert (hardest["timing"], hardest["seed"]) == ("pi05_4090_mobile", 1)
    # The driving world has no forces: the fastest onset is the hardest, and there are no columns of forces.
    assert crash.peak_normal_force_n is None and crash.num_contacts == 1
    assert crash.hardest_episode == next(row["episode_id"] for row in rows if row["reason"] == "collision")
    lift, cut_in = contact_tables(contacts_of(report, rows))
    assert (lift["has_forces"], cut_in["has_forces"]) == (True, False)
    assert lift["lines"][1]["episodes"] == "6 of 6" and cut_in["lines"][0]["episodes"] == "1 of 6"
    assert lift["lines"][1]["depth"] == "1"


def contacts_of(report: ReportFiles, rows: Rows) -> Contacts:
    return read_contacts(RunStore.open_read_only(report.report_html.parent), rows)


def test_a_softer_contact_does_not_take_over() -> None:
    pair = ContactPair(key={}, class_pair="a-b", is_collision=True)
    for episode, speed in (("first", 1.0), ("second", 3.0), ("third", 2.0)):
        pair.add(episode, {"duration_s": 0.1, "impact_speed_mps": speed})
    assert (pair.hardest_episode, pair.impact_speed_mps, pair.impulse_newton_s) == ("second", 3.0, None)


def test_the_page_and_the_file_say_the_same(report: ReportFiles, hostile_name: str) -> None:
    page = report.report_html.read_text()
    assert hostile_name not in page
    assert 'id="contacts"' in page
    motion = page[page.index('id="motion"') : page.index('id="contacts"')]
    assert re.findall(r"<h3>(.*?)</h3>", motion) == ["reaction_mean_ms, cut_in", "reaction_mean_ms, lift"]
    assert "peak force (N)" in page and page.count("peak force (N)") == 1
    with (report.report_html.parent / "contacts.csv").open(newline="") as file:
        lines = list(csv.DictReader(file))
    grasps = [line for line in lines if line["class_pair"].startswith("left_gripper")]
    assert [line["timing"] for line in grasps] == sorted(line["timing"] for line in grasps)
    assert sum(int(line["num_contacts"]) for line in grasps) == 12
    assert max(float(line["peak_normal_force_n"]) for line in grasps) == 25.0
    assert [line["impulse_newton_s"] for line in lines if line["scenario"] == "cut_in"] == [""]


def test_distributions_without_thresholds_say_quantiles(rows: Rows) -> None:
    made = [{**row, "scenario": "lift", "ldlj": -10.0 - number} for number, row in enumerate(rows)]
    (panel,) = criticality_panels(made, {"ldlj": {"limits": {}, "higher_is_better": True}}, ["expert"])
    assert panel.shares == ("expert: median -15.5, 5 to 95 % -20.4 to -10.6, n = 12",)
    assert 'class="limit"' not in panel.svg and 'class="ecdf"' in panel.svg

"""How often a verdict flips, and what repeats to the bit: counted by hand on rows made for it."""

from __future__ import annotations

from typing import Any

import pytest

from simloop.repeats import case_name, find_repeats
from simloop.stats.rate import wilson

CONFIG = {"repeats": {"count": 4, "statistical_worlds": ["carla"], "measured_timings": ["measured"]}}
STATUSES = {"s": "success", "f": "fail", "e": "agent_error", "i": "infra_error", "t": "timeout"}


def plays(text: str, hashes: str = "", **columns: Any) -> list[dict[str, Any]]:
    """One row a letter (s success, f fail, e agent_error, i infra_error, t timeout); equal hash letters, equal logs."""
    return [
        {
            "episode_id": f"{columns.get('case_id', 'case')}-{number}",
            "case_id": "case",
            "status": STATUSES[letter],
            "reason": {"f": "collision", "e": f"error {number}"}.get(letter, ""),
            "scenario": "cut_in",
            "world": "driving",
            "agent": "expert",
            "timing": "zero",
            "strategy": "paused",
            "seed": 3,
            "parameters": '{"gap_m": 1.5}',
            "num_ticks": 40,
            "episode_hash": None if letter in "eit" else (hashes or "a" * len(text))[number - 1],
            "has_log": letter == "f",
            "repeat": number,
        }
        | columns
        for number, letter in enumerate(text, 1)
    ]


def only(text: str, hashes: str = "", **columns: Any) -> Any:
    found = find_repeats(plays(text, hashes, **columns), CONFIG)
    assert found is not None
    (case,) = found.cases
    return case


@pytest.mark.parametrize(
    ("text", "hashes", "is_compared", "is_flaky", "is_to_the_bit"),
    [
        ("ssss", "aaaa", True, False, True),
        ("ssss", "aaba", True, False, False),
        ("ffff", "aaaa", True, False, True),
        ("sssf", "aaab", True, True, False),
        ("sfse", "abaa", True, True, False),
        ("eeee", "", True, False, True),
        ("ssis", "aaaa", True, False, True),
        ("siit", "aaaa", False, False, True),
        ("s", "a", False, False, True),
    ],
)
def test_a_case_is_judged_by_its_plays_with_a_verdict(
    text: str, hashes: str, is_compared: bool, is_flaky: bool, is_to_the_bit: bool
) -> None:
    case = only(text, hashes)
    assert (case.is_compared, case.is_flaky, case.is_to_the_bit) == (is_compared, is_flaky, is_to_the_bit)
    assert (case.num_plays, case.num_judged) == (len(text), sum(letter in "sfe" for letter in text))


def test_ticks_and_reasons_tell_courses_apart_and_not_verdicts() -> None:
    rows = plays("ffff")
    rows[1]["reason"], rows[2]["num_ticks"] = "time_limit", 44
    found = find_repeats(rows, CONFIG)
    assert found is not None
    (case,) = found.cases
    assert not case.is_flaky
    assert case.num_courses == 3
    assert case.reasons == {"fail: collision": 3, "fail: time_limit": 1}
    assert (case.least_ticks, case.most_ticks) == (40, 44)
    assert case.course_ids == ("case-1", "case-2")


@pytest.mark.parametrize(("num_fails", "num_plays"), [(0, 5), (1, 5), (2, 4), (10, 20), (19, 20)])
def test_two_plays_disagree_as_often_as_pairs_differ(num_fails: int, num_plays: int) -> None:
    case = only("f" * num_fails + "s" * (num_plays - num_fails))
    pairs = num_plays * (num_plays - 1) / 2
    assert case.disagreement == pytest.approx(num_fails * (num_plays - num_fails) / pairs)


def test_the_flake_rate_is_of_cases_with_two_verdicts() -> None:
    rows = [
        *plays("ssss", case_id="a"),
        *plays("sfsf", "abac", case_id="b"),
        *plays("sfsf", "abac", case_id="b", strategy="prefix"),
        *plays("siii", case_id="c"),
        *plays("ssss", "abcd", case_id="d", world="carla"),
        *plays("ssss", "abcd", case_id="e", timing="measured"),
        *({**row, "repeat": None} for row in plays("s", case_id="judge", agent="rss")),
    ]
    found = find_repeats(rows, CONFIG)
    assert found is not None
    assert (found.num_repeats, len(found.cases), len(found.compared)) == (4, 6, 5)
    assert found.flake_rate == wilson(2, 5)
    assert found.num_to_the_bit == 1
    assert found.disagreement == pytest.approx(2 * (4 / 6) / 5)
    assert [case.name for case in found.broken_promises] == [
        "cut_in / seed 3 / expert / zero / paused",
        "cut_in / seed 3 / expert / zero / prefix",
    ]
    assert found.num_promised == 3
    by_cell = {key[2:]: (len(cell.flaky), len(cell.compared)) for key, cell in found.cells().items()}
    assert by_cell == {("zero", "paused"): (1, 3), ("zero", "prefix"): (1, 1), ("measured", "paused"): (0, 1)}


def test_a_flaky_case_names_a_play_of_each_verdict_and_two_with_logs() -> None:
    case = only("ssfs", "aabc")
    assert case.first_ids == {"success": "case-1", "fail": "case-3"}
    assert case.course_ids == ()
    rows = plays("ssfs", "aabc")
    rows[3]["has_log"] = True
    found = find_repeats(reversed(rows), CONFIG)
    assert found is not None
    assert found.cases[0].first_ids == {"success": "case-4", "fail": "case-3"}
    assert found.cases[0].course_ids == ("case-3", "case-4")


def test_flaky_cases_nearest_to_one_half_come_first() -> None:
    rows = [*plays("sssf", case_id="a"), *plays("ssff", case_id="b"), *plays("ssss", case_id="c")]
    found = find_repeats(rows, CONFIG)
    assert found is not None
    assert [case.case_id for case in found.flaky] == ["b", "a"]


def test_a_run_that_plays_everything_once_has_none() -> None:
    assert find_repeats([{**row, "repeat": None} for row in plays("ss")], {}) is None
    empty = find_repeats([], CONFIG)
    assert empty is not None
    assert (empty.flake_rate, empty.num_to_the_bit, empty.disagreement) == (None, 0, None)


def test_plays_have_names_of_their_own() -> None:
    assert [case_name(row) for row in plays("ss")] == ["case play 1", "case play 2"]
    assert case_name({"case_id": "case"}) == "case"

"""The shipped maps under the quality checker of the OpenDRIVE standard (ASAM), which must find planted defects."""

from __future__ import annotations

import importlib.resources
import json
import subprocess
import sys
from typing import Any

import pytest

from simloop_driving.roads.road_map import shipped_maps

pytest.importorskip(
    "qc_opendrive", reason="asam-qc-opendrive is not installed (it has no wheels for Python 3.12)"
)

# The checker sets up logging when it is imported, so it works in a process of its own, on all files at once.
_CHECK = """
import json, sys
from pathlib import Path
from qc_baselib import Configuration, Result
from qc_opendrive import constants
from qc_opendrive.main import run_checks

found = {}
for path in sorted(Path(sys.argv[1]).glob("*.xodr")):
    configuration, result = Configuration(), Result()
    configuration.set_config_param("InputFile", str(path))
    result.register_checker_bundle(name=constants.BUNDLE_NAME, description="", version="1", summary="")
    run_checks(configuration, result)
    found[path.stem] = {
        checker.checker_id: [checker.status.value, [str(issue.locations) for issue in checker.issues]]
        for checker in result.get_checker_bundle_results()[0].checkers
    }
json.dump(found, sys.stdout)
"""

# Map, what is replaced (once), by what, and the rule that must notice.
DEFECTS = {
    "unknown_attribute_value": (
        "town",
        'orientation="+"',
        'orientation="forwards"',
        "check_asam_xodr_xml_valid_schema",
    ),
    "connection_against_linkage": (
        "roundabout",
        '<connection incomingRoad="1" id="1" contactPoint="start" connectingRoad="102">',
        '<connection incomingRoad="1" id="1" contactPoint="end" connectingRoad="102">',
        "check_asam_xodr_junctions_connection_end_opposite_linkage",
    ),
    "gap_between_roads": (
        "rural",
        'hdg="0.0" length="1000.0"',
        'hdg="0.1" length="1000.0"',
        "check_asam_xodr_lane_smoothness_contact_point_no_horizontal_gaps",
    ),
    "lane_of_no_width_goes_on": (
        "merge",
        '<lane id="-5" type="driving" level="false">\n            <link />',
        '<lane id="-5" type="driving" level="false">\n            <link><successor id="-5" /></link>',
        "check_asam_xodr_road_lane_link_zero_width_at_end",
    ),
}


def _xml(name: str) -> str:
    return (importlib.resources.files("simloop_scenarios") / "maps" / f"{name}.xodr").read_text("utf-8")


@pytest.fixture(scope="module")
def findings(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, Any]]:
    folder = tmp_path_factory.mktemp("maps")
    for name in shipped_maps():
        (folder / f"{name}.xodr").write_text(_xml(name))
    for defect, (name, right, wrong, _) in DEFECTS.items():
        assert right in _xml(name), defect
        (folder / f"defect_{defect}.xodr").write_text(_xml(name).replace(right, wrong, 1))
    done = subprocess.run(
        [sys.executable, "-c", _CHECK, str(folder)], check=True, capture_output=True, text=True, timeout=600
    )
    found: dict[str, dict[str, Any]] = json.loads(done.stdout)
    return found


@pytest.mark.parametrize("name", shipped_maps())
def test_shipped_maps_keep_the_rules(findings: dict[str, dict[str, Any]], name: str) -> None:
    result = findings[name]
    assert {rule: issues for rule, (_, issues) in result.items() if issues} == {}
    assert [rule for rule, (status, _) in result.items() if status == "error"] == []
    completed = [rule for rule, (status, _) in result.items() if status == "completed"]
    assert "check_asam_xodr_xml_valid_schema" in completed
    # Rules of later editions are skipped for an earlier document; one rule was dropped after 1.7.
    assert len(completed) == len(result) - 1 >= 21


@pytest.mark.parametrize("defect", sorted(DEFECTS))
def test_planted_defects_are_found(findings: dict[str, dict[str, Any]], defect: str) -> None:
    rule = DEFECTS[defect][3]
    assert findings[f"defect_{defect}"][rule][1]

"""``junit.xml``: one test case a cell (scenario, agent, timing, strategy) and one a criterion."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from collections.abc import Mapping, Sequence
from typing import Any

from simloop.preventability import ArmLabels
from simloop.report.cells import Cell, Rows, cells
from simloop.report.criterion_verdict import CriterionState
from simloop.report.labels import label_text
from simloop.report.repeat_tables import repeat_lines
from simloop.report.summary import rows_by_cell
from simloop.report.verdict import RunState, Verdict
from simloop.store.manifest import Manifest
from simloop.store.row import CELL_COLUMNS, EpisodeStatus

# XML 1.0, section 2.2: the characters that a document may hold.
_NOT_XML = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def _clean(text: object) -> str:
    return _NOT_XML.sub("\ufffd", str(text))


def build_junit(rows: Rows, manifest: Manifest, verdict: Verdict, labels: Sequence[ArmLabels] = ()) -> bytes:
    """Returns the file's bytes.

    A cell is an error if infrastructure or the agent's code kept an episode from ending; whether its rate is good
    enough is for the criteria to say, which are failures (or errors, where they could not be judged). A run that
    lacks planned episodes has one more error. What is flaky in a run with repeats stands in a case of its own.
    """
    suites = ET.Element("testsuites", name=_clean(manifest.run_id))
    scenarios = _suite(suites, f"{manifest.suite}.cells")
    by_cell = rows_by_cell(rows)
    texts = {tuple(arm.key[c] for c in CELL_COLUMNS): label_text(arm) for arm in labels}
    for cell in cells(rows, CELL_COLUMNS):
        key = tuple(cell.key.values())
        _add_cell(scenarios, cell, by_cell[key], texts.get(key, ""))
    criteria = _suite(suites, f"{manifest.suite}.criteria")
    for result in verdict.criteria:
        case = _case(criteria, "criteria", result.name, 0.0)
        if result.state is CriterionState.FAIL:
            ET.SubElement(case, "failure", message=_clean(result.detail))
        elif result.state is CriterionState.NOT_JUDGED:
            ET.SubElement(case, "error", message=_clean(result.detail))
        elif result.state is CriterionState.NOT_APPLICABLE:
            ET.SubElement(case, "skipped", message=_clean(result.detail))
        ET.SubElement(case, "system-out").text = _clean(result.detail)
    if verdict.repeats is not None:
        repeats = _case(criteria, "run", "repeats", 0.0)
        ET.SubElement(repeats, "system-out").text = _clean("\n".join(repeat_lines(verdict.repeats)))
    complete = _case(criteria, "run", "complete", 0.0)
    if verdict.state is RunState.INCOMPLETE:
        ET.SubElement(complete, "error", message=_clean(verdict.headline))
    ET.SubElement(complete, "system-out").text = _clean(
        f"{verdict.num_recorded} of {verdict.num_planned} episodes recorded"
    )
    for suite in (scenarios, criteria):
        _count(suite)
    ET.indent(suites)
    data: bytes = ET.tostring(suites, encoding="utf-8", xml_declaration=True)
    return data


def _suite(parent: ET.Element, name: str) -> ET.Element:
    return ET.SubElement(parent, "testsuite", name=_clean(name))


def _case(suite: ET.Element, class_name: str, name: str, seconds: float) -> ET.Element:
    attributes = {"classname": _clean(class_name), "name": _clean(name), "time": f"{seconds:.3f}"}
    return ET.SubElement(suite, "testcase", attributes)


def _add_cell(suite: ET.Element, cell: Cell, rows: Sequence[Mapping[str, Any]], labels: str) -> None:
    seconds = sum(float(row.get("wall_s_wall") or 0.0) for row in rows)
    name = f"{cell.key['agent']} / {cell.key['timing']} / {cell.key['strategy']}"
    case = _case(suite, cell.key["scenario"], name, seconds)
    broken = [r for r in rows if r["status"] not in (EpisodeStatus.SUCCESS.value, EpisodeStatus.FAIL.value)]
    if broken:
        first = broken[0]
        error = ET.SubElement(
            case,
            "error",
            type=_clean(first["status"]),
            message=_clean(f"{len(broken)} of {len(rows)} episodes: {first['status']}: {first['reason']}"),
        )
        error.text = _clean(first.get("error_trace") or "")
    reasons = ", ".join(f"{n} {reason}" for reason, n in cell.reasons.items())
    ET.SubElement(case, "system-out").text = _clean(
        cell.rate_text()
        + (f"; not successful: {reasons}" if reasons else "")
        + (f"; labels: {labels}" if labels else "")
    )


def _count(suite: ET.Element) -> None:
    suite.set("tests", str(len(suite.findall("testcase"))))
    suite.set("failures", str(len(suite.findall("testcase/failure"))))
    suite.set("errors", str(len(suite.findall("testcase/error"))))
    suite.set("skipped", str(len(suite.findall("testcase/skipped"))))
    suite.set("time", f"{sum(float(case.get('time', '0')) for case in suite):.3f}")

"""A small OpenDRIVE 1.4 document with what CARLA's towns have, written as RoadRunner writes them.

Two lane sections, a lane that widens, a lane offset, hills, lanes of unknown types, objects, user data, a light that
stands on one road and is referred to by the connecting roads of a junction, and its controller.
"""

from __future__ import annotations

import math

CUBIC = 'a="{a}" b="{b}" c="0.0000000000000000e+0" d="0.0000000000000000e+0"'
USER_DATA = '<userData><vectorLane sOffset="0.0000000000000000e+0" laneId="{00000000}"/></userData>'


def _lane(
    number: int, kind: str, width_m: float, slope: float = 0.0, *, before: int = 0, after: int = 0
) -> str:
    links = (f'<predecessor id="{before}"/>' if before else "") + (
        f'<successor id="{after}"/>' if after else ""
    )
    width = CUBIC.format(a=width_m, b=slope)
    mark = '<roadMark sOffset="0.0000000000000000e+0" type="broken" color="white" laneChange="both"/>'
    return (
        f'<lane id="{number}" type="{kind}" level="false"><link>{links}</link>'
        f'<width sOffset="0.0000000000000000e+0" {width}/>{mark}{USER_DATA}</lane>'
    )


def _section(s_m: float, left: list[str], right: list[str]) -> str:
    centre = (
        '<center><lane id="0" type="none"><roadMark sOffset="0" type="solid"/><userData/></lane></center>'
    )
    sides = f"<left>{''.join(left)}</left>" if left else ""
    return f'<laneSection s="{s_m}">{sides}{centre}<right>{"".join(right)}</right></laneSection>'


def _road(
    number: int,
    junction: int,
    length_m: float,
    geometry: str,
    links: str,
    sections: str,
    *,
    height: str,
    rest: str = "",
) -> str:
    flat = CUBIC.format(a=0.0, b=0.0)
    return f"""<road name="Road {number}" length="{length_m}" id="{number}" junction="{junction}">
<link>{links}</link>
<type s="0.0000000000000000e+0" type="town"><speed max="30" unit="mph"/></type>
<planView>{geometry}</planView>
<elevationProfile>{height}</elevationProfile>
<lateralProfile><superelevation s="0.0000000000000000e+0" {flat}/></lateralProfile>
<lanes><laneOffset s="0.0000000000000000e+0" {CUBIC.format(a=0.5, b=0.0) if number == 0 else flat}/>{sections}</lanes>
{rest}</road>"""


def _line(x_m: float, y_m: float, heading_rad: float, length_m: float, shape: str = "<line/>") -> str:
    return f'<geometry s="0" x="{x_m}" y="{y_m}" hdg="{heading_rad}" length="{length_m}">{shape}</geometry>'


def _height(at_m: float, slope: float) -> str:
    return f'<elevation s="0.0000000000000000e+0" {CUBIC.format(a=at_m, b=slope)}/>'


def _reference(light: int) -> str:
    return (
        f'<signals><signalReference s="1.0e-1" t="-6.0" id="{light}" orientation="+">'
        '<validity fromLane="-2" toLane="-1"/></signalReference></signals>'
    )


def document() -> str:
    """Returns the document: road 0 leads east, uphill, to a junction; there road 1 goes on and road 2 leads north."""
    quarter_m = 20.0 * math.pi / 2.0
    east = [_lane(-1, "driving", 3.5, before=-1, after=-1), _lane(-2, "driving", 3.5, before=-2, after=-2)]
    beside = [
        _lane(-3, "shoulder", 2.0, before=-3, after=-3),
        _lane(-4, "sidewalk", 3.0, before=-4, after=-4),
    ]
    widening = [
        _lane(-1, "driving", 3.5, after=-1),
        _lane(-2, "driving", 0.0, 3.5 / 60.0, after=-2),
        _lane(-3, "shoulder", 2.0, after=-3),
        _lane(-4, "sidewalk", 3.0, after=-4),
    ]
    opposite = [_lane(2, "median", 0.5, before=2, after=2), _lane(1, "driving", 3.5, before=1, after=1)]
    light = (
        '<objects><object id="700" name="StopLine" s="1.19e+2" t="-3.5" zOffset="0" hdg="0" roll="0" pitch="0" '
        'orientation="-" type="-1" width="7" length="0.3"/></objects>'
        '<signals><signal name="Signal_3Light_Post01" id="500" s="1.19e+2" t="-8.0" zOffset="0" hOffset="0" roll="0" '
        'pitch="0" orientation="-" dynamic="yes" country="OpenDRIVE" type="1000001" subtype="-1" value="-1" text="" '
        'height="1.0" width="0.5"><validity fromLane="0" toLane="0"/>'
        '<userData><vectorSignal signalId="{11111111}"/></userData></signal></signals>'
    )
    roads = [
        _road(
            0,
            -1,
            120.0,
            _line(0.0, 0.0, 0.0, 120.0),
            '<successor elementType="junction" elementId="100"/>',
            _section(0.0, opposite, widening) + _section(60.0, opposite, east + beside),
            height=_height(2.0, 0.05),
            rest=light,
        ),
        _road(
            1,
            -1,
            100.0,
            _line(140.0, 0.5, 0.0, 100.0),
            '<predecessor elementType="junction" elementId="100"/>',
            _section(0.0, [], east + beside),
            height=_height(9.0, 0.0),
        ),
        _road(
            2,
            -1,
            80.0,
            _line(140.0, 20.5, math.pi / 2.0, 80.0),
            '<predecessor elementType="junction" elementId="100"/>',
            _section(0.0, [], [_lane(-1, "driving", 3.5)]),
            height=_height(9.0, 0.0),
        ),
        _road(
            10,
            100,
            20.0,
            _line(120.0, 0.5, 0.0, 20.0),
            '<predecessor elementType="road" elementId="0" contactPoint="end"/>'
            '<successor elementType="road" elementId="1" contactPoint="start"/>',
            _section(0.0, [], east),
            height=_height(8.0, 0.05),
            rest=_reference(500),
        ),
        _road(
            11,
            100,
            quarter_m,
            _line(120.0, 0.5, 0.0, quarter_m, '<arc curvature="5.0000000000000000e-2"/>'),
            '<predecessor elementType="road" elementId="0" contactPoint="end"/>'
            '<successor elementType="road" elementId="2" contactPoint="start"/>',
            _section(0.0, [], [_lane(-1, "driving", 3.5, before=-1, after=-1)]),
            height=_height(8.0, 1.0 / quarter_m),
            rest=_reference(500),
        ),
    ]
    junction = """<junction id="100" name="junction100">
<connection id="0" incomingRoad="0" connectingRoad="10" contactPoint="start">
<laneLink from="-1" to="-1"/><laneLink from="-2" to="-2"/></connection>
<connection id="1" incomingRoad="0" connectingRoad="11" contactPoint="start"><laneLink from="-1" to="-1"/></connection>
<controller id="900" type="0" sequence="0"/>
<userData><vectorJunction junctionId="{22222222}"/></userData></junction>"""
    return f"""<?xml version="1.0" encoding="UTF-8"?>
<OpenDRIVE><header revMajor="1" revMinor="4" name="" version="1" date="2020-07-28T22:34:58" vendor="VectorZero">
<geoReference><![CDATA[+proj=tmerc +lat_0=0 +lon_0=0 +k=1 +x_0=0 +y_0=0 +datum=WGS84 ]]></geoReference>
<userData><vectorScene program="RoadRunner" version="2019.2.12"/></userData></header>
{"".join(roads)}
<controller name="ctrl900" id="900" sequence="0"><control signalId="500" type="0"/></controller>
{junction}
</OpenDRIVE>
"""

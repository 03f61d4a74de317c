"""MuJoCo's C functions and the memory of its ``mjData``, for compiled code that steps the physics by itself.

The addresses of ``mj_step1`` and ``mj_step2`` come from MuJoCo's own library, the place of a field in ``mjData`` from
the description of its structures that MuJoCo ships (``mujoco.introspect``), laid out by the rules of C and compared
with what MuJoCo's Python binding says of a small model. Nothing is copied: compiled code reads where MuJoCo writes.
"""

from __future__ import annotations

import ctypes
import functools
import gc
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from simloop.errors import MissingDependencyError
from simloop_bimanual.robosuite_import import load_mujoco

FIELDS = ("ncon", "nefc", "contact", "efc_force", "efc_vel")
"""Fields of ``mjData`` whose place ``data_offsets`` gives, in this order."""

_SIZES = {
    "mjtNum": 8, "mjtSize": 8, "size_t": 8, "uintptr_t": 8, "uint64_t": 8, "int": 4, "float": 4, "mjtBool": 1,
    "mjtByte": 1,
}  # fmt: skip
_INSTALL = 'install one that it is made for with `pip install "mujoco>=3.6,<3.10"`'
ONE_CONTACT = """
<mujoco><worldbody><geom type="plane" size="1 1 1"/>
<body pos="0 0 0.04"><freejoint/><geom size="0.05"/></body></worldbody></mujoco>
"""
"""A ball that touches a plane: the least model with a contact, whose memory is measured."""


@functools.cache
def function_address(name: str) -> int:
    """Returns the address of a function of MuJoCo.

    Raises:
        MissingDependencyError: MuJoCo's library is not where its package keeps it, or has no such function.
    """
    folder = Path(load_mujoco().__file__).parent
    found = sorted(path for pattern in ("libmujoco.*", "mujoco.dll") for path in folder.glob(pattern))
    if not found:
        raise MissingDependencyError(
            f"The two-arm world needs MuJoCo's library, which is not in {folder}; it comes with "
            f"MuJoCo's wheel: {_INSTALL}."
        )
    library = ctypes.CDLL(str(found[0]))  # the one that the Python binding has loaded
    function = getattr(library, name, None)
    address = None if function is None else ctypes.cast(function, ctypes.c_void_p).value
    if address is None:
        raise MissingDependencyError(
            f"MuJoCo's library {found[0]} has no function {name!r}, which the two-arm world calls; {_INSTALL}."
        )
    return address


def give_memory_back() -> None:
    """Frees what nothing refers to, and returns it to the system where the C library would keep it (glibc).

    robosuite's environments refer to themselves; with its meshes one holds some 200 MB.
    """
    gc.collect()
    if sys.platform == "linux":
        trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
        if trim is not None:
            trim(0)


def step_addresses() -> tuple[int, int]:
    """Returns the addresses of ``mj_step1(model, data)`` and ``mj_step2(model, data)``; raises as the above."""
    return function_address("mj_step1"), function_address("mj_step2")


def addresses_of(mj_model: Any, data: Any) -> tuple[int, int]:
    """Returns the addresses of a model and its data; they stay as long as the objects live."""
    return int(mj_model._address), int(data._address)  # noqa: SLF001, MuJoCo's own rollout module takes them there


@functools.cache
def data_offsets() -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    """Returns the offset in bytes of each of ``FIELDS`` in ``mjData``.

    Raises:
        MissingDependencyError: MuJoCo's structures are not the ones that it describes.
    """
    mujoco = load_mujoco()
    from mujoco.introspect import structs

    offsets, _, _ = _layout(structs.STRUCTS, "mjData")
    model = mujoco.MjModel.from_xml_string(ONE_CONTACT)
    data = mujoco.MjData(model)
    mujoco.mj_step(model, data)
    expected = {
        "ncon": data.ncon,
        "nefc": data.nefc,
        **{name: getattr(data, name).__array_interface__["data"][0] for name in ("efc_force", "efc_vel")},
        "contact": data.contact.dist.__array_interface__["data"][0],
    }
    _, start = addresses_of(model, data)
    for name in FIELDS:
        kind = ctypes.c_int if name in ("ncon", "nefc") else ctypes.c_size_t
        found = kind.from_address(start + offsets[name]).value
        if found != expected[name]:
            raise MissingDependencyError(
                f"MuJoCo {mujoco.__version__} does not lay out mjData as it says (field {name!r}), and the two-arm "
                f"world reads it there; {_INSTALL}."
            )
    return np.array([offsets[name] for name in FIELDS], dtype=np.int64)


def _layout(structs: Any, name: str) -> tuple[Mapping[str, int], int, int]:
    """Returns the fields' offsets, the size and the alignment of a C structure."""
    offsets, end, widest = {}, 0, 1
    for field in structs[name].fields:
        size, alignment = _extent(structs, field.type)
        offsets[field.name] = -(-end // alignment) * alignment
        end, widest = offsets[field.name] + size, max(widest, alignment)
    return offsets, -(-end // widest) * widest, widest


def _extent(structs: Any, kind: Any) -> tuple[int, int]:
    """Returns size and alignment of a C type; MissingDependencyError if it is not one that is known here."""
    described = type(kind).__name__
    if described == "PointerType":
        return 8, 8
    if described == "ArrayType":
        size, alignment = _extent(structs, kind.inner_type)
        return size * int(np.prod(kind.extents)), alignment
    if kind.name in structs:
        _, size, alignment = _layout(structs, kind.name)
        return size, alignment
    if kind.name not in _SIZES:
        raise MissingDependencyError(
            f"MuJoCo describes a field of the C type {kind.name!r}, whose size the two-arm world does not know; known "
            f"are {', '.join(_SIZES)}. Another MuJoCo is needed: {_INSTALL}."
        )
    return _SIZES[kind.name], _SIZES[kind.name]

"""Arithmetic in suite files: ``other_kmh / ego_kmh`` or ``other_kmh < ego_kmh`` over columns of numbers.

A formula is read as an expression tree of which only numbers, names, ``+ - * / **``, comparisons, ``and``, ``or``,
``not`` and ``min``, ``max``, ``abs`` are allowed; nothing is ever executed as code.
"""

from __future__ import annotations

import ast
import operator
from collections.abc import Callable, Mapping
from functools import reduce
from typing import Any

import numpy as np
import numpy.typing as npt

from simloop.errors import ConfigurationError, UnknownNameError

FloatArray = npt.NDArray[np.float64]
Array = npt.NDArray[Any]

_BINARY: dict[type[ast.operator], Callable[[Any, Any], Any]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.Pow: operator.pow,
}
_COMPARISONS: dict[type[ast.cmpop], Callable[[Any, Any], Any]] = {
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
}
_FUNCTIONS: dict[str, Callable[..., Any]] = {
    "min": lambda *values: reduce(np.minimum, values),
    "max": lambda *values: reduce(np.maximum, values),
    "abs": np.abs,
}
_ALLOWED = "numbers, names, + - * / **, < <= > >= == !=, and, or, not, min, max, abs"
_MAX_CHARACTERS = 400
_MAX_POWER = 8.0


def evaluate_formula(text: str, columns: Mapping[str, FloatArray], where: str) -> Array:
    """Returns the value of a formula for every row.

    Args:
        text: The formula.
        columns: (N,) numbers by name.
        where: File and key, for messages.

    Returns:
        (N,) float64, or bool for a comparison.

    Raises:
        ConfigurationError: The text is no formula, or a value is not finite.
        UnknownNameError: It names a column that there is not.
    """
    tree = _parsed(text, where)
    with np.errstate(all="ignore"):
        value = _value(tree.body, columns, where)
    num_rows = len(next(iter(columns.values()))) if columns else 1
    array: Array = np.broadcast_to(np.asarray(value), (num_rows,))
    if array.dtype.kind == "f" and not np.isfinite(array).all():
        row = int(np.argmin(np.isfinite(array)))
        at = ", ".join(f"{name} {column[row]:g}" for name, column in columns.items())
        raise ConfigurationError(f"{where}: {text!r} is {array[row]} for {at}; it must be a finite number.")
    return array


def formula_names(text: str, where: str) -> frozenset[str]:
    """Returns the names that a formula uses, its functions among them.

    Raises:
        ConfigurationError: The text is no formula.
    """
    return frozenset(node.id for node in ast.walk(_parsed(text, where)) if isinstance(node, ast.Name))


def _parsed(text: str, where: str) -> ast.Expression:
    if len(text) > _MAX_CHARACTERS:
        raise ConfigurationError(f"{where} has {len(text)} characters; allowed: at most {_MAX_CHARACTERS}.")
    try:
        return ast.parse(text.strip(), mode="eval")
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        raise ConfigurationError(f"{where} is {text!r}, which is no formula; allowed: {_ALLOWED}.") from error


def _value(node: ast.expr, columns: Mapping[str, FloatArray], where: str) -> Any:
    match node:
        case ast.Constant(value=bool()):
            pass
        case ast.Constant(value=int() | float() as number):
            return float(number)
        case ast.Name(id=name):
            if name not in columns:
                raise UnknownNameError("name", name, columns, where=where)
            return columns[name]
        case ast.UnaryOp(op=ast.USub(), operand=operand):
            return -_value(operand, columns, where)
        case ast.UnaryOp(op=ast.Not(), operand=operand):
            return np.logical_not(_value(operand, columns, where))
        case ast.BinOp(left=left, op=op, right=right) if type(op) in _BINARY:
            first, second = _value(left, columns, where), _value(right, columns, where)
            if isinstance(op, ast.Pow) and np.max(np.abs(second)) > _MAX_POWER:
                raise ConfigurationError(f"{where} has a power over {_MAX_POWER:g}.")
            return _BINARY[type(op)](np.asarray(first, dtype=np.float64), second)
        case ast.Compare(left=left, ops=ops, comparators=others) if all(type(o) in _COMPARISONS for o in ops):
            values = [_value(n, columns, where) for n in (left, *others)]
            pairs = zip(ops, values, values[1:], strict=False)
            return reduce(np.logical_and, [_COMPARISONS[type(o)](a, b) for o, a, b in pairs])
        case ast.BoolOp(op=op, values=nodes):
            joined = np.logical_and if isinstance(op, ast.And) else np.logical_or
            return reduce(joined, [_value(n, columns, where) for n in nodes])
        case ast.Call(func=ast.Name(id=name), args=args, keywords=[]) if name in _FUNCTIONS and args:
            return _FUNCTIONS[name](*(_value(a, columns, where) for a in args))
        case _:
            pass
    raise ConfigurationError(f"{where} uses {ast.unparse(node)!r}; allowed: {_ALLOWED}.")

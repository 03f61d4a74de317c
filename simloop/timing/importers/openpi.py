"""openpi: the Parquet file that ``examples/simple_client`` writes with ``--timing-file``.

Its TimingRecorder keeps one column a key, in ms: ``client_infer_ms`` (what the client waited, network included),
``server_infer_ms`` and ``server_prev_total_ms`` (the server's part), ``policy_infer_ms`` (the model alone). Source:
Physical-Intelligence/openpi, examples/simple_client/main.py.
"""

from __future__ import annotations

from pathlib import Path

from simloop.clock import NS_PER_MS
from simloop.errors import TraceError
from simloop.timing.importers.samples import ImportedSamples, whole_ns

_PREFERRED = ("policy_infer_ms", "server_infer_ms", "client_infer_ms")


def read_openpi(path: Path) -> ImportedSamples:
    """Reads every column whose name ends in ``_ms``.

    Raises:
        TraceError: It is not Parquet, has no such column or no row, or a value is missing or negative.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        table = pq.read_table(path)
    except (OSError, pa.ArrowInvalid) as error:
        raise TraceError(f"openpi timings {path} cannot be read as Parquet: {error}.") from error
    columns = [name for name in table.column_names if name.endswith("_ms")]
    if not columns or not len(table):
        raise TraceError(
            f"openpi timings {path}: {len(table)} rows, columns {', '.join(table.column_names) or '(none)'}; needed: "
            f"rows with columns in ms, for example {', '.join(_PREFERRED)}."
        )
    return ImportedSamples(
        durations_ns={
            name: whole_ns(table.column(name).to_pylist(), NS_PER_MS, f"{path}, column {name!r}")
            for name in columns
        },
        main=next((name for name in _PREFERRED if name in columns), columns[0]),
    )

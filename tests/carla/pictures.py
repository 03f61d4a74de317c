"""What cameras of a server show."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt


def bgra(image: Any) -> npt.NDArray[np.uint8]:
    """Returns a copy of shape (rows, columns, 4): the bytes live as long as the image."""
    return np.frombuffer(image.raw_data, dtype=np.uint8).reshape(image.height, image.width, 4).copy()

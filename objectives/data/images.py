"""Load the images that questions name: embedded scenes by key, files by absolute path."""

from __future__ import annotations

import warnings
from functools import lru_cache
from pathlib import Path

from PIL import Image

from himap.errors import first_line
from objectives.data.embedded import embedded_image
from objectives.errors import DataError

MOST_PIXELS = 50_000_000  # about 8,000 x 6,000; larger ones may be decompression bombs
_KEPT = 256


def load_image(key: str) -> Image.Image:
    """Return the image with this key, in RGB; files are decoded once and cached.

    Raises:
        DataError: no such file, not an image, or one that is truncated or too large.
    """
    return _from_file(key) if Path(key).is_absolute() else embedded_image(key)


def image_size(key: str) -> tuple[int, int]:
    """Return width and height in pixels; of a file only the header is read."""
    if not Path(key).is_absolute():
        return embedded_image(key).size
    with _opened(Path(key)) as image:
        return image.size


def check_image(path: Path) -> None:
    """Decode the whole image without caching it; raise DataError as `load_image`."""
    _decoded(path)


@lru_cache(maxsize=_KEPT)
def _from_file(path: str) -> Image.Image:
    return _decoded(Path(path))


def _decoded(path: Path) -> Image.Image:
    with _opened(path) as image:
        try:
            return image.convert("RGB")
        except (OSError, SyntaxError, ValueError, EOFError, MemoryError, Image.DecompressionBombError) as error:
            raise DataError(f"image {path} is truncated or damaged ({first_line(error)})") from error


def _opened(path: Path) -> Image.Image:
    """Open the file and check the size that its header states, before anything is decoded."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            image = Image.open(path)
    except FileNotFoundError:
        raise DataError(f"there is no image {path}") from None
    except Image.DecompressionBombError as error:
        raise DataError(f"image {path} is too large ({first_line(error)})") from error
    except (OSError, SyntaxError, ValueError, EOFError) as error:
        raise DataError(f"{path} is not an image ({first_line(error)})") from error
    width, height = image.size
    if width * height > MOST_PIXELS:
        image.close()
        raise DataError(f"image {path} has {width} x {height} pixels; at most {MOST_PIXELS:,} are read")
    return image

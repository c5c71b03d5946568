"""Load the images that questions name as a viewer shows them: embedded scenes by key, files by absolute path.

Every image that a model gets comes from here: the first frame, upright by its EXIF orientation, transparency over
white, in 8-bit sRGB by the file's profile or gamma.
"""

from __future__ import annotations

import io
import logging
import os
import warnings
from collections.abc import Hashable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from cachetools import LRUCache, cached
from PIL import ExifTags, Image, ImageCms

from himap.errors import first_line
from objectives.data.embedded import embedded_image
from objectives.errors import DataError

logging.getLogger("PIL").addHandler(logging.NullHandler())  # else its errors go to stderr, beside our line

MOST_PIXELS = 50_000_000  # about 8,000 x 6,000; larger ones may be decompression bombs
_TURNED = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
_DISPLAY, _ALIKE = 2.2, 0.05  # exponent of a display, and how far from it a file's may be, as in libpng
_BITS, _PHOTOMETRIC, _WHITE_IS_ZERO = 258, 262, 0  # tags of TIFF
_decoded: LRUCache[Hashable, Image.Image] = LRUCache(2**28, lambda image: 3 * image.width * image.height)  # in bytes


def load_image(key: str) -> Image.Image:
    """Return the image with this key as a viewer shows it, in RGB; decoded files are cached.

    Raises:
        DataError: as `read_image`.
    """
    return _from_file(key) if Path(key).is_absolute() else embedded_image(key)


def image_size(key: str) -> tuple[int, int]:
    """Return width and height in pixels as `load_image` returns it; of a file only the header is read."""
    if not Path(key).is_absolute():
        return embedded_image(key).size
    with _silent(), _opened(Path(key), f"image {key}") as image:
        turned = image.format != "TIFF" and _orientation(image) >= 5  # Pillow turns TIFF files itself
        return (image.height, image.width) if turned else image.size


def read_image(file: Path | BinaryIO) -> Image.Image:
    """Open and decode an image without caching it, see `viewed`.

    Raises:
        DataError: no such file, not an image, or one that is truncated or too large, or as `viewed`.
    """
    name = f"image {file}" if isinstance(file, Path) else "the image"
    with _silent(), _opened(file, name) as image:
        return viewed(image, name)


def viewed(image: Image.Image, name: str) -> Image.Image:
    """Return the first frame of an opened image as a viewer shows it: upright, over white, in 8-bit sRGB.

    Args:
        name: of the image in messages.

    Raises:
        DataError: it is truncated or damaged, or holds numbers for which no white is defined.
    """
    try:
        image.load()
        upright = _eight_bits(_upright(image), image)
        if upright is None:
            raise DataError(f"{name} has pixels of mode {image.mode}, which have no white; save it with 8 or 16 bits")
        if not upright.has_transparency_data:
            return _srgb(upright, image.info)
        layered = (upright.convert("LA") if upright.mode == "La" else upright).convert("RGBA")
        white = Image.new("RGB", layered.size, "white")
        white.paste(_srgb(layered.convert("RGB"), image.info), mask=layered.getchannel("A"))
        return white
    except DataError:
        raise
    except Exception as error:  # decoders raise anything at a damaged file
        raise DataError(f"{name} is truncated or damaged ({first_line(error)})") from error


@contextmanager
def _silent() -> Iterator[None]:
    """Keep warnings about odd metadata and large images from the user, who gets an image or one line."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def _state(path: str) -> Hashable:
    """Return what tells a file from an edited one."""
    try:
        stat = os.stat(path)
    except OSError:
        return path, None
    return path, stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns


@cached(_decoded, key=_state)
def _from_file(path: str) -> Image.Image:
    return read_image(Path(path))


def _opened(file: Path | BinaryIO, name: str) -> Image.Image:
    """Open the image and check the size that its header states, before anything is decoded."""
    if isinstance(file, Path) and not file.is_file():
        raise DataError(f"there is no {name}")
    try:
        image = Image.open(file)
    except Image.DecompressionBombError as error:
        raise DataError(f"{name} is too large ({first_line(error)})") from error
    except Exception as error:  # as in `viewed`
        raise DataError(f"{name} is not an image, or cannot be read ({first_line(error)})") from error
    width, height = image.size
    if not 0 < width * height <= MOST_PIXELS:
        image.close()
        raise DataError(f"{name} has {width} x {height} pixels; at most {MOST_PIXELS:,} are read")
    return image


def _orientation(image: Image.Image) -> int:
    """Return the EXIF orientation; 1, as viewers do, where the EXIF data is damaged."""
    try:
        value = image.getexif().get(ExifTags.Base.Orientation, 1)
    except Exception:  # damaged metadata raises anything, too
        return 1
    return value if value in _TURNED else 1


def _upright(image: Image.Image) -> Image.Image:
    turn = _TURNED.get(_orientation(image))
    return image if turn is None else image.transpose(turn)


def _eight_bits(image: Image.Image, opened: Image.Image) -> Image.Image | None:
    """Return gray images of 9 to 16 bits with 8, as Pillow reads colors; None for integers or floats beyond that."""
    if image.mode == "F" or (image.mode == "I" and opened.format not in ("PNG", "PPM")):
        return None
    if image.mode != "I" and not image.mode.startswith("I;16"):
        return image
    values = np.asarray(image).astype(np.uint32)
    tags = getattr(opened, "tag_v2", {})
    bits = max(16 if opened.format != "TIFF" else tags.get(_BITS, (16,))[0], 9)
    gray = (values >> (bits - 8)).clip(0, 255).astype(np.uint8)
    if tags.get(_PHOTOMETRIC) == _WHITE_IS_ZERO:
        gray = 255 - gray
    clear = image.info.get("transparency")
    if not isinstance(clear, int):
        return Image.fromarray(gray)
    alpha = np.where(values == clear, 0, 255).astype(np.uint8)
    return Image.merge("LA", (Image.fromarray(gray), Image.fromarray(alpha)))


def _srgb(image: Image.Image, info: Mapping[Any, Any]) -> Image.Image:
    """Return the image in RGB, by its ICC profile or else its gamma; what is damaged or of another mode is ignored."""
    if profile := info.get("icc_profile"):
        try:
            source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
            if not ImageCms.getProfileDescription(source).startswith("sRGB"):
                colors = image if image.mode in ("L", "CMYK") else image.convert("RGB")
                same = ImageCms.profileToProfile(colors, source, ImageCms.createProfile("sRGB"), outputMode="RGB")
                return same or image.convert("RGB")
        except (ImageCms.PyCMSError, OSError, ValueError, TypeError):
            pass
    elif (gamma := info.get("gamma")) and "srgb" not in info:  # of PNG: pixel = light ** gamma
        exponent = 1 / (gamma * _DISPLAY)
        if abs(exponent - 1) > _ALIKE:
            return image.convert("RGB").point([round(255 * (value / 255) ** exponent) for value in range(256)] * 3)
    return image.convert("RGB")

"""Images as a viewer shows them: orientations, modes, depths, palettes, transparency, profiles, damage."""

from __future__ import annotations

import io
import os
import struct
import subprocess
import sys
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageCms, ImageOps, features

from objectives.data import images
from objectives.data.images import image_size, load_image, read_image, viewed
from objectives.errors import DataError

CORNERS = [(255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 0), (0, 0, 0), (255, 255, 255)]  # of 3 x 2 pixels
HALF, RED, WHITE = (127, 127, 127), (255, 0, 0), (255, 255, 255)


def saved(folder: Path, image: Image.Image, kind: str = "PNG", **options: Any) -> Path:
    path = folder / f"image.{kind.lower()}"
    image.save(path, kind, **options)
    return path


def shown(folder: Path, image: Image.Image, kind: str = "PNG", **options: Any) -> Image.Image:
    """The image as a model gets it, after a check of the form that all of them share."""
    path = saved(folder, image, kind, **options)
    seen = read_image(path)
    assert seen.mode == "RGB" and seen.size == image_size(str(path))
    return seen


def gray(values: Any, kind: str) -> Image.Image:
    return Image.fromarray(np.array(values, kind))


@pytest.mark.parametrize("kind", ["PNG", "WEBP", "TIFF", "JPEG", "AVIF"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_all_orientations_stand_upright(tmp_path: Path, kind: str, orientation: int) -> None:
    lying = Image.new("RGB", (3, 2))
    lying.putdata(CORNERS)
    lying = lying.resize((48, 32), Image.Resampling.NEAREST)
    exif = Image.Exif()
    exif[0x0112] = orientation
    if kind in ("WEBP", "AVIF") and not features.check(kind.lower()):
        pytest.skip(f"this Pillow writes no {kind}")
    whole = {"quality": 100, "subsampling": 0 if kind == "JPEG" else "4:4:4"}
    options = {"WEBP": {"lossless": True}, "JPEG": whole, "AVIF": whole}.get(kind, {})
    seen = shown(tmp_path, lying, kind, exif=exif, **options)
    with Image.open(tmp_path / f"image.{kind.lower()}") as opened:
        assert np.array_equal(np.asarray(seen), np.asarray(ImageOps.exif_transpose(opened).convert("RGB")))
    assert seen.size == ((48, 32) if orientation < 5 else (32, 48))
    corner = {1: 0, 2: 2, 3: 5, 4: 3, 5: 0, 6: 3, 7: 5, 8: 2}[orientation]
    difference = np.subtract(seen.getpixel((4, 4)), CORNERS[corner])
    assert np.abs(difference).max() < 8


@pytest.mark.parametrize("mode", ["La", "RGBa"])
def test_colors_that_are_multiplied_by_their_alpha(mode: str) -> None:
    layered = Image.new({"La": "LA", "RGBa": "RGBA"}[mode], (2, 2), {"La": (0, 128), "RGBa": (0, 0, 0, 128)}[mode])
    assert viewed(layered.convert(mode), "it").getpixel((0, 0)) == HALF


@pytest.mark.filterwarnings("error")
def test_damaged_metadata_does_not_turn_an_image(tmp_path: Path) -> None:
    assert shown(tmp_path, Image.new("RGB", (3, 2), RED), exif=b"Exif\0\0MM\0*\0\0\xff\xff").size == (3, 2)


@pytest.mark.parametrize(
    ("image", "kind", "expected"),
    [
        (Image.new("1", (2, 2), 1), "PNG", WHITE),
        (Image.new("L", (2, 2), 127), "PNG", HALF),
        (Image.new("LA", (2, 2), (0, 128)), "PNG", HALF),
        (Image.new("LA", (2, 2), (9, 0)), "PNG", WHITE),
        (Image.new("RGBA", (2, 2), (255, 0, 0, 255)), "PNG", RED),
        (Image.new("RGBA", (2, 2), (0, 0, 0, 0)), "PNG", WHITE),
        (Image.new("RGBA", (2, 2), (0, 0, 0, 128)), "WEBP", HALF),
        (Image.new("RGBA", (2, 2), (255, 0, 0, 0)), "TIFF", WHITE),
        (Image.new("CMYK", (2, 2), (0, 255, 255, 0)), "TIFF", RED),
        (Image.new("CMYK", (16, 16), (0, 0, 0, 0)), "JPEG", WHITE),
        (Image.new("LAB", (2, 2), (255, 128, 128)), "TIFF", WHITE),
        (Image.new("YCbCr", (16, 16), (255, 128, 128)), "JPEG", WHITE),
        (gray([[0x7F12]], "<u2"), "PNG", HALF),
        (gray([[0x7F12]], "<u2"), "TIFF", HALF),
        (gray([[0x7F12]], ">u2"), "TIFF", HALF),
        (gray([[0x7F12]], "<u2"), "PPM", HALF),
        (gray([[0x7F12]], "<u2"), "JPEG2000", HALF),
        (gray([[0xFFFF]], "<u2"), "PNG", WHITE),
        (Image.new("PA", (2, 2), (0, 0)), "TIFF", WHITE),
    ],
)
def test_modes_and_depths(tmp_path: Path, image: Image.Image, kind: str, expected: tuple[int, ...]) -> None:
    difference = np.subtract(shown(tmp_path, image, kind).getpixel((0, 0)), expected)
    assert np.abs(difference).max() <= 2


@pytest.mark.parametrize(("mode", "clear", "other"), [("1", 1, 0), ("L", 7, 0), ("RGB", (7, 8, 9), (0, 0, 0))])
def test_a_transparent_color_is_white(tmp_path: Path, mode: str, clear: Any, other: Any) -> None:
    image = Image.new(mode, (2, 1), other)
    image.putpixel((0, 0), clear)
    seen = shown(tmp_path, image, transparency=clear)
    assert [seen.getpixel((x, 0)) for x in (0, 1)] == [WHITE, (0, 0, 0)]


def test_a_transparent_gray_of_16_bits_is_white(tmp_path: Path) -> None:
    seen = shown(tmp_path, gray([[700, 701]], "<u2"), transparency=700)
    assert [seen.getpixel((x, 0)) for x in (0, 1)] == [WHITE, (2, 2, 2)]


@pytest.mark.parametrize("bits", [1, 2, 4, 8])
@pytest.mark.parametrize("clear", [None, 1, b"\xff\x00"])
def test_palettes_of_every_depth(tmp_path: Path, bits: int, clear: Any) -> None:
    image = Image.new("P", (2, 1), 0)
    image.putpalette([255, 0, 0, 0, 0, 255])
    image.putpixel((1, 0), 1)
    seen = shown(tmp_path, image, bits=bits, **({} if clear is None else {"transparency": clear}))
    assert [seen.getpixel((x, 0)) for x in (0, 1)] == [RED, (0, 0, 255) if clear is None else WHITE]


@pytest.mark.parametrize("photometric", [0, 1])
def test_tiff_of_16_bits_with_either_end_white(tmp_path: Path, photometric: int) -> None:
    seen = shown(tmp_path, gray([[0x2000]], "<u2"), "TIFF", tiffinfo={262: photometric})
    assert seen.getpixel((0, 0)) == ((32, 32, 32) if photometric else (223, 223, 223))


@pytest.mark.parametrize(
    "image", [gray([[0.5]], "<f4"), gray([[100_000]], "<i4"), gray([[-5]], "<i2")], ids=["float", "32", "signed"]
)
def test_numbers_without_a_white_are_refused(tmp_path: Path, image: Image.Image) -> None:
    with pytest.raises(DataError, match="have no white; save it with 8 or 16 bits"):
        read_image(saved(tmp_path, image, "TIFF"))


@pytest.mark.parametrize("kind", ["GIF", "WEBP", "PNG", "TIFF", "MPO"])
def test_an_animation_shows_its_first_frame(tmp_path: Path, kind: str) -> None:
    first, second = Image.new("RGB", (4, 4), RED), Image.new("RGB", (4, 4), "blue")
    options = {"lossless": True} if kind == "WEBP" else {}
    seen = shown(tmp_path, first, kind, save_all=True, append_images=[second], **options)
    assert np.abs(np.subtract(seen.getpixel((0, 0)), RED)).max() <= 2


def test_a_profile_is_applied_and_a_wrong_one_ignored(tmp_path: Path) -> None:
    lab = ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB")).tobytes()
    same = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    image = Image.new("RGB", (2, 2), (200, 30, 90))
    for profile in (same, lab, b"none"):
        assert shown(tmp_path, image, icc_profile=profile).getpixel((0, 0)) == (200, 30, 90)
    dull = bytearray(same)  # an RGB profile with the primaries red and green exchanged
    tags = {bytes(dull[i : i + 4]): i for i in range(132, 132 + 12 * int.from_bytes(dull[128:132], "big"), 12)}
    red, green = tags[b"rXYZ"], tags[b"gXYZ"]
    dull[red + 4 : red + 12], dull[green + 4 : green + 12] = dull[green + 4 : green + 12], dull[red + 4 : red + 12]
    description = dull.find("sRGB".encode("utf-16-be"))
    dull[description : description + 8] = "test".encode("utf-16-be")
    seen = shown(tmp_path, image, icc_profile=bytes(dull)).getpixel((0, 0))
    assert np.abs(np.subtract(seen, (30, 200, 90))).max() <= 2


@pytest.mark.parametrize(
    ("gamma", "srgb", "value"),
    [(1.0, False, 128), (0.45455, False, 56), (0.46, False, 56), (1.0, True, 56), (0, False, 56)],
)
@pytest.mark.parametrize("mode", ["RGB", "L", "P", "LA", "RGBA", "1"])
def test_a_gamma_is_applied_as_by_a_browser(tmp_path: Path, mode: str, gamma: float, srgb: bool, value: int) -> None:
    """Linear light of 56 / 255 is shown at 128; an sRGB chunk has the last word."""
    dark = Image.new("RGB", (3, 2), (56, 56, 56))
    path = saved(tmp_path, dark.quantize(2) if mode == "P" else dark.convert(mode))
    chunks = [(b"gAMA", struct.pack(">I", round(gamma * 100_000))), *([(b"sRGB", b"\0")] if srgb else [])]
    packed = [struct.pack(">I", len(d)) + k + d + struct.pack(">I", zlib.crc32(k + d)) for k, d in chunks]
    raw = path.read_bytes()
    path.write_bytes(raw[:33] + b"".join(packed) + raw[33:])
    assert read_image(path).getpixel((0, 0)) == ((0,) * 3 if mode == "1" else (value,) * 3)


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "GIF", "WEBP", "TIFF", "BMP"])
def test_a_cut_file_is_one_line(tmp_path: Path, kind: str) -> None:
    path = saved(tmp_path, Image.effect_noise((64, 64), 90), kind)
    for length in range(0, path.stat().st_size // 2, 97):
        cut = tmp_path / "cut"
        cut.write_bytes(path.read_bytes()[:length])
        with pytest.raises(DataError) as caught:
            read_image(cut)
        assert "\n" not in str(caught.value) and str(cut) in str(caught.value)


def test_what_is_no_file_is_one_line(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for place in (tmp_path, tmp_path / "gone", tmp_path / "pipe"):
        with pytest.raises(DataError, match="there is no image"):
            read_image(place)
    with pytest.raises(DataError, match="the image is not an image"):
        read_image(io.BytesIO(b"no image"))


def test_the_cache_holds_a_budget_of_bytes(tmp_path: Path) -> None:
    images._decoded.clear()
    path = saved(tmp_path, Image.new("L", (100, 50)))
    assert load_image(str(path)) is load_image(str(path))
    assert images._decoded.currsize == 3 * 100 * 50
    assert images._decoded.maxsize <= 2**28


def test_an_edited_file_is_read_again(tmp_path: Path) -> None:
    path = saved(tmp_path, Image.new("RGB", (4, 3), "red"))
    assert load_image(str(path)).getpixel((0, 0)) == RED
    saved(tmp_path, Image.new("RGB", (4, 3), "white"))
    assert load_image(str(path)).getpixel((0, 0)) == WHITE
    path.unlink()
    with pytest.raises(DataError, match="there is no image"):
        load_image(str(path))


def test_pillow_says_nothing_beside_our_line() -> None:
    program = (
        "import logging; from objectives.data import images; logging.getLogger('PIL.TiffImagePlugin').error('odd')"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stderr == ""

"""The frames of a user's video: a folder of images, or a clip that PyAV decodes.

A model gets them as images. Of more than eight frames, the middle ones of eight equal parts are read.
"""

from __future__ import annotations

import io
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from himap.errors import first_line
from objectives.data.images import MOST_PIXELS
from objectives.errors import DataError

if TYPE_CHECKING:
    from PIL import Image

FRAMES = 8
_IMAGES = {".bmp", ".gif", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp"}
_CLIPS = "avi,gif,matroska,webm,mov,mp4,m4a,3gp,3g2,mj2,mpeg,mpegts"  # no playlists, which name other files
_MOST_PACKETS = 1_000_000  # about nine hours at 30 frames a second


def video_frames(path: Path) -> list[Path | bytes]:
    """Return the frames of a folder as paths, by the numbers in their names, or those of a clip as PNG files.

    Raises:
        DataError: no such file or folder, no frames in it, a clip that cannot be decoded, or PyAV is not installed.
    """
    if path.is_dir():
        images = [file for file in path.iterdir() if file.suffix.lower() in _IMAGES and not file.name.startswith(".")]
        if not images:
            raise DataError(f"video {path} holds no images; expected its frames as .png or .jpg files")
        images.sort(key=lambda file: [int(part) if part.isdigit() else part for part in re.split(r"(\d+)", file.name)])
        return [images[i] for i in _chosen(len(images))]
    if not path.is_file():
        raise DataError(f"there is no video {path}; expected a clip, or a folder of frames")
    return _clip_frames(path)


def _chosen(frames: int) -> list[int]:
    count = min(frames, FRAMES)
    return [(2 * i + 1) * frames // (2 * count) for i in range(count)]


def _clip_frames(path: Path) -> list[Path | bytes]:
    try:
        import av
    except ImportError as error:
        raise DataError(
            f"video {path} needs PyAV, which is not installed; install it: pip install 'himap-search[video]', or give "
            "a folder of its frames"
        ) from error
    options = {"format_whitelist": _CLIPS, "protocol_whitelist": "file"}
    try:
        with av.open(str(path), options=options) as container:
            packets = 0
            for packet in container.demux(video=0):
                packets += packet.size > 0
                if packets > _MOST_PACKETS:
                    raise DataError(f"video {path} has more than {_MOST_PACKETS:,} frames; cut it into shorter clips")
        with av.open(str(path), options=options) as container:
            chosen = _chosen(packets)
            decoded = enumerate(container.decode(video=0)) if chosen else ()
            frames: list[Path | bytes] = []
            for number, frame in decoded:
                if number in chosen:
                    frames.append(_png(frame, path))
                if number >= chosen[-1]:
                    break
    except (av.FFmpegError, IndexError, OSError, ValueError) as error:
        raise DataError(f"video {path} cannot be decoded ({first_line(error)})") from error
    if not frames or len(frames) < len(chosen):
        raise DataError(f"video {path} is truncated or damaged: {len(frames)} of {len(chosen)} frames can be decoded")
    return frames


def _png(frame: Any, path: Path) -> bytes:
    """Return a decoded frame, upright, as a PNG file."""
    if frame.width * frame.height > MOST_PIXELS:
        raise DataError(f"video {path} has {frame.width} x {frame.height} pixels; at most {MOST_PIXELS:,} are read")
    image: Image.Image = frame.to_image()
    file = io.BytesIO()
    image.rotate(frame.rotation, expand=True).save(file, "PNG")
    return file.getvalue()

"""A photograph that somebody gave is decoded in a process of its own, with limits: it may be anything."""

import os
import subprocess
import sys
from contextlib import suppress

import numpy as np

from ..errors import DataError
from ..images import BadImage, as_pillow, load_image

LARGEST_UPLOAD = 32 << 20  # bytes
LONGEST_SIDE = 1024  # pixels that are kept of it
SECONDS = 20
MEMORY = 3 << 30  # bytes that the process may take
CHILD = "from sparring.webapp.decoding import decode_here; decode_here()"
FAILED = b"bad "


def decoded_apart(content: bytes) -> np.ndarray:
    """Return uint8 [H,W,C] of an encoded image, at most LONGEST_SIDE long. Raises BadImage."""
    if len(content) > LARGEST_UPLOAD:
        raise BadImage(f"more than {LARGEST_UPLOAD >> 20} MiB")
    command = [sys.executable, "-c", CHILD]
    try:
        run = subprocess.run(command, input=content, capture_output=True, timeout=2 * SECONDS, check=False)
    except subprocess.TimeoutExpired:
        raise BadImage(f"decoding takes longer than {2 * SECONDS} seconds") from None
    head, _, pixels = run.stdout.partition(b"\n")
    if head.startswith(FAILED):
        raise BadImage(head.removeprefix(FAILED).decode("utf-8", "replace"))
    try:
        shape = tuple(map(int, head.split()))
        return np.frombuffer(pixels, np.uint8).reshape(shape)
    except ValueError:
        raise BadImage("decoding it takes too much memory or time, or ends the process") from None


def decode_here() -> None:
    """Read an encoded image from the standard input; write its shape and pixels, or why it cannot be read."""
    _limit_this_process()
    try:
        image = as_pillow(load_image(sys.stdin.buffer.read()))
        image.thumbnail((LONGEST_SIDE, LONGEST_SIDE))
        pixels = np.atleast_3d(np.asarray(image))
        said = " ".join(map(str, pixels.shape)).encode() + b"\n" + pixels.tobytes()
    except DataError as error:
        reason = error.reason if isinstance(error, BadImage) else error.problem
        said = FAILED + reason.encode("utf-8", "replace").replace(b"\n", b" ") + b"\n"
    while said:
        said = said[os.write(1, said) :]


def _limit_this_process() -> None:
    with suppress(ImportError, ValueError, OSError):  # Windows has no limits of this kind
        import resource

        resource.setrlimit(resource.RLIMIT_CPU, (SECONDS, SECONDS))
        resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
        resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))

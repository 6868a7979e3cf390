"""A picture in 256 colours of its own: a third of the bytes, and no pixel is visibly another."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import Image

#: The most frequent colours, kept as they are: grounds, inks and the fills of bars. The rest is for soft edges.
_KEPT = 64
_SIZE = 256


def with_palette(rgba: NDArray[np.uint8]) -> Image.Image:
    """A drawing as a picture with a palette.

    Every colour is looked up once, not every pixel: a drawing of a million pixels has a few thousand colours.

    Parameters
    ----------
    rgba : pixels, shape (height, width, 4), opaque.

    Returns
    -------
    Picture of mode "P" with up to 256 colours; the same pixels give the same picture. Exact where there are no more.
    """
    picture = Image.fromarray(rgba).convert("RGB")
    counted = picture.getcolors(1 << 16) or picture.getcolors(1 << 24) or []
    counted.sort(key=lambda pair: (-pair[0], pair[1]))
    colours = np.array([colour for _, colour in counted], np.uint8)
    palette = colours[:_SIZE]
    if len(colours) > _SIZE:
        soft = Image.fromarray(colours[None, _KEPT:])
        soft = soft.quantize(_SIZE - _KEPT, method=Image.Quantize.MAXCOVERAGE, dither=Image.Dither.NONE)
        spread = np.array(soft.getpalette(), np.uint8).reshape(-1, 3)[: _SIZE - _KEPT]
        palette = np.concatenate([colours[:_KEPT], spread])
    table = np.zeros(1 << 24, np.uint8)  # pages that no colour touches are never made
    table[_keys(colours)] = _nearest(colours, palette)
    found = Image.fromarray(table[_keys(rgba)])
    found.putpalette(palette.tobytes())
    return found


def _keys(colours: NDArray[np.uint8]) -> NDArray[np.uint32]:
    """Red, green and blue as one number; `colours` has them first along the last axis."""
    red, green, blue = (colours[..., i].astype(np.uint32) for i in range(3))
    keys: NDArray[np.uint32] = ((red << 16) | (green << 8) | blue).astype(np.uint32, copy=False)
    return keys


def _nearest(colours: NDArray[np.uint8], palette: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Place in the palette of the colour nearest to each; the first of equals."""
    # whole numbers: the same answer whatever the processor's way of multiplying
    a, b = colours.astype(np.int32), palette.astype(np.int32)
    distance = (b**2).sum(axis=1)[None] - 2 * (a @ b.T)
    return distance.argmin(axis=1).astype(np.uint8)

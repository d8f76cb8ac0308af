"""Which changes of an image keep its class: the views that a network learns from."""

from dataclasses import dataclass

import numpy as np

from ..games.nodes import Node
from ..games.views import Strong, Weak


@dataclass(frozen=True)
class Look:
    """How strongly views may change an image without changing what it shows."""

    light: float = 0.0
    colour: float = 0.0
    hole: float = 0.0
    flip: bool = False

    def weak(self, of: Node) -> Weak:
        return Weak(of, flip=self.flip)

    def strong(self, of: Node) -> Strong:
        return Strong(of, light=self.light, colour=self.colour, hole=self.hole, flip=self.flip)


def look_for(images: np.ndarray) -> Look:
    """Return the views for uint8 [N,H,W,C].

    Colour images are taken for photographs: colours vary, a part may be hidden, and left and right may change places.
    Grey images are not mirrored: the mirror image of a digit or letter may be another class.
    """
    return Look(light=0.4, colour=0.4, hole=0.4, flip=True) if images.shape[3] == 3 else Look(light=0.4)

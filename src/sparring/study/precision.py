"""How many test images are enough."""

from ..stats import wilson


def images_needed(share: float, half_width: float = 0.05) -> int:
    """Return how many test images of a class give an interval of +-half_width around its recall (Wilson's)."""
    low, high = 1, 1 << 20
    while low < high:
        middle = (low + high) // 2
        interval = wilson(share * middle, middle)
        low, high = (low, middle) if (interval.high - interval.low) / 2 <= half_width else (middle + 1, high)
    return low

"""Tiny data for tests: striped images whose stripes tell the class."""

import torch

from sparring.nets.layers import Facts

FACTS = Facts(1, 12, 10, 3)


def striped(count=150, height=12, width=10, channels=1, classes=3, seed=0):
    """uint8 [count, height, width, channels] and int64 [count]: class k has a bright column every k + 2 pixels."""
    g = torch.Generator().manual_seed(seed)
    y = torch.arange(count) % classes
    stripes = torch.arange(width)[None] % (y[:, None] + 2) == 0
    noise = torch.randint(0, 56, (count, height, width, channels), generator=g)
    return (200 * stripes[:, None, :, None] + noise).clamp(0, 255).to(torch.uint8), y


def pools(**kwargs):
    x, y = striped(**kwargs)
    return {"all": {"x": x, "y": y}, "labelled": {"x": x[:30], "y": y[:30]}}

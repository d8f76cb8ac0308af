"""Tiny data for tests: striped images whose stripes tell the class. And thin networks to learn from it."""

import json

import torch

from sparring.nets.layers import DataSpec
from sparring.records import from_json, to_json

FACTS = DataSpec(1, 12, 10, 3)
COLOUR = DataSpec(3, 12, 10, 3)
THIN = {
    "DCGAN": {"width": 4},
    "ResNet": {"width": 8},
    "R3GAN": {"width": 4, "group": 4},
    "UNet": {"width": 4},
    "PatchGAN": {"width": 4},
    "MLP": {"widths": [16]},
    "Codes": {"hidden": 8},
    "MinibatchDiscrimination": {"kernels": 3, "dim": 2},
}


def striped(count=150, height=12, width=10, channels=1, classes=3, seed=0):
    """uint8 [count, height, width, channels] and int64 [count]: class k has a bright column every k + 2 pixels."""
    g = torch.Generator().manual_seed(seed)
    y = torch.arange(count) % classes
    stripes = torch.arange(width)[None] % (y[:, None] + 2) == 0
    noise = torch.randint(0, 56, (count, height, width, channels), generator=g)
    return (200 * stripes[:, None, :, None] + noise).clamp(0, 255).to(torch.uint8), y


def pools(**kwargs):
    """Every pool that a recipe reads. Sources of pairs are their negatives; "a" and "b" are images and negatives."""
    x, y = striped(**kwargs)
    some, half = slice(0, 30), len(x) // 2
    return {
        "all": {"x": x, "y": y},
        "labelled": {"x": x[some], "y": y[some]},
        "pairs": {"x": x, "source": 255 - x},
        "a": {"x": x[:half]},
        "b": {"x": 255 - x[half:]},
    }


def thin(record):
    """The same recipe, or architecture, with thin networks, so that tests are quick."""

    def thinner(data):
        if isinstance(data, list):
            return [thinner(item) for item in data]
        if not isinstance(data, dict):
            return data
        return {name: thinner(value) for name, value in data.items()} | THIN.get(data["kind"], {})

    return from_json(json.loads(json.dumps(thinner(to_json(record)))))

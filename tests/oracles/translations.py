"""From image to image, flat. G makes a target from a source; D sees both, and gives one score for each patch."""

import torch
from torch.nn.functional import avg_pool2d, interpolate

from sparring.games.degradations import Hole

from .flat import adam, follow, pixels, rows, step, uniform


def translated(nets, averages, data, rounds, batch, make, *, weight=1.0):
    """batch(player, n): sources and targets. make(G, source): images. Isola et al. 2017, eq. 1 to 4."""
    G, D = nets["G"], nets["D"]
    d_adam, g_adam = adam(D), adam(G)
    p = lambda x, source: torch.sigmoid(D.head["score"](D.body(torch.cat([x, source], 1))))
    for n in range(rounds):
        source, x = batch("D", n)
        fake = make(G, source).detach()
        step(d_adam, -weight * (p(x, source).log().mean() + (1 - p(fake, source)).log().mean()))

        source, x = batch("G", n)
        fake = make(G, source)
        step(g_adam, -weight * p(fake, source).log().mean() + 100 * (fake - x).abs().mean())
        follow(averages["G"], G, 0.999, n)


def pix2pix(nets, averages, data, rounds):
    """Pairs of images. Isola et al. 2017."""

    def batch(player, n):
        index = rows(player, "pairs", n, 8, len(data["pairs"]["x"]))
        return pixels(data, "pairs", index, "source"), pixels(data, "pairs", index)

    translated(nets, averages, data, rounds, batch, lambda G, source: G.body(source))


def spoilt(data, spoil):
    """Sources are made from the targets."""

    def batch(player, n):
        x = pixels(data, "all", rows(player, "all", n, 32, len(data["all"]["x"])))
        return spoil(x, player, n), x

    return batch


def inpaint(nets, averages, data, rounds):
    """Pathak et al. 2016: a rectangle is missing; what is not missing stays."""

    def holed(x, player, n):
        u = uniform(player, n, Hole(), 4, count=32)
        count, channels, *sides = x.shape
        out = torch.cat([x, torch.zeros(count, 1, *sides).double()], 1)
        for i in range(count):
            (top, bottom), (left, right) = (span(side, u[i, k], u[i, k + 2]) for k, side in enumerate(sides))
            out[i, :channels, top:bottom, left:right] = 0
            out[i, channels, top:bottom, left:right] = 1
        return out

    def span(side, size, place):
        """Between a quarter and half of a side, anywhere."""
        long = round((0.25 + 0.25 * float(size)) * side)
        first = int(float(place) * (side - long + 1))
        return first, first + long

    def make(G, source):
        image, missing = source[:, :-1], source[:, -1:]
        return missing * G.body(source) + (1 - missing) * image

    translated(nets, averages, data, rounds, spoilt(data, holed), make)


def upscale(nets, averages, data, rounds, factor=2):
    """Ledig et al. 2017: half the size; G sharpens what bicubic interpolation gives. The game counts a tenth."""

    def smaller(x, player, n):
        few = avg_pool2d(x, [side // (side // factor) for side in x.shape[2:]])
        return interpolate(few, x.shape[2:], mode="bicubic").clamp(-1, 1)

    translated(nets, averages, data, rounds, spoilt(data, smaller), sharpened, weight=0.1)


def upscale_4x(*world):
    upscale(*world, factor=4)


def sharpened(G, source):
    return source + G.body(source)


def restyle(nets, averages, data, rounds):
    """Isola et al. 2017, section 4: colour, given luma."""

    def grey(x, player, n):
        luma = 0.299 * x[:, 0] + 0.587 * x[:, 1] + 0.114 * x[:, 2]
        return torch.stack([luma, luma, luma], 1)

    translated(nets, averages, data, rounds, spoilt(data, grey), sharpened)


def cyclegan(nets, averages, data, rounds):
    """Zhu et al. 2017, eq. 1 to 3, with squared scores: there and back again is where one was. No pairs."""
    d_adam, g_adam = adam(nets["D_a"], nets["D_b"]), adam(nets["G_a"], nets["G_b"])
    s = lambda name, x: nets[name].head["score"](nets[name].body(x))
    to_a, to_b = (lambda x, name=name: nets[name].body(x) for name in ("G_a", "G_b"))

    def batch(player, n):
        return [pixels(data, pool, rows(player, pool, n, 4, len(data[pool]["x"]))) for pool in ("a", "b")]

    for n in range(rounds):
        a, b = batch("D", n)
        loss = 0.0
        for name, real, fake in (("D_a", a, to_a(b).detach()), ("D_b", b, to_b(a).detach())):
            loss = loss + ((s(name, real) - 1) ** 2).mean() / 2 + (s(name, fake) ** 2).mean() / 2
        step(d_adam, loss)

        a, b = batch("G", n)
        fake_a, fake_b = to_a(b), to_b(a)
        game = (((s("D_a", fake_a) - 1) ** 2).mean() + ((s("D_b", fake_b) - 1) ** 2).mean()) / 2
        cycle = (to_a(fake_b) - a).abs().mean() + (to_b(fake_a) - b).abs().mean()
        same = (to_a(a) - a).abs().mean() + (to_b(b) - b).abs().mean()
        step(g_adam, game + 10 * cycle + 5 * same)
        for name in ("G_a", "G_b"):
            follow(averages[name], nets[name], 0.999, n)

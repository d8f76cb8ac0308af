"""What there is and what will be used: recipes, methods, doctor."""

from .app import app, tables
from .screen import Screen
from .typed import Flag


@app.command(group=tables)
def recipes(name: str | None = None, /, *, json: Flag = False):
    """The games that `train` knows.

    Args:
        name: show this one, as Python.
        json: print JSON.
    """
    from ..errors import pick
    from ..games.recipes import RECIPES
    from ..records import as_python, to_json

    screen = Screen(as_json=json)
    if name:
        recipe = pick(RECIPES, name, "recipe")
        if json:
            screen.show_json(to_json(recipe))
        else:
            screen.line(as_python(recipe, name.replace("-", "_")))
        return
    rows = [
        {"name": name, "what": recipe.about, "needs": needs(recipe), "source": recipe.source}
        for name, recipe in RECIPES.items()
    ]
    if json:
        screen.show_json(rows)
    else:
        screen.table(("recipe", "what it is", "needs"), [tuple(row.values())[:3] for row in rows])
        screen.note(
            "\nOne in full: sparring recipes NAME. Train it: sparring train DATA -r NAME (your own: my.py:recipe)."
        )


def needs(recipe) -> str:
    """What data a recipe reads beside images."""
    said = {"labelled": "labels", "pairs": "--source, pairs", "b": "--source"}
    return " and ".join(said[pool] for pool in sorted(recipe.pools) if pool in said)


@app.command(group=tables)
def methods(*, json: Flag = False):
    """The classifiers that `compare` sets against each other.

    Args:
        json: print JSON.
    """
    from ..classifiers import METHODS

    screen = Screen(as_json=json)
    names = ("name", "family", "title", "what", "cites")
    if json:
        screen.show_json([{name: getattr(method, name) for name in names} for method in METHODS.values()])
    else:
        screen.table(("method", "family", "what it is"), [(m.name, m.family, m.what) for m in METHODS.values()])


@app.command(group=tables)
def doctor(*, json: Flag = False):
    """What this machine has, what will be used, and why.

    Args:
        json: print JSON.
    """
    from ..devices import ADVISORIES_OF, choose_device, cores, hardware, known_holes, unsafe_packages, versions
    from ..features.encoders import installed_encoders
    from ..games.recipes import RECIPES
    from ..games.training import fastest_precision
    from ..nets.layers import DataSpec

    screen = Screen(as_json=json)
    device = choose_device("auto")
    precision = fastest_precision(RECIPES["dcgan"], DataSpec(1, 28, 28, 10), device=device)
    other = "fp32" if precision == "bf16" else "bf16"
    why = f"measured on dcgan at 28x28: {other} is not faster (--precision overrides)"
    found = {"versions": versions(), "machine": hardware(), "device": device, "precision": precision, "why": why}
    found |= {
        "unsafe": (unsafe := unsafe_packages()),
        "jobs": cores(),
        "threads": 1,
        "pretrained": installed_encoders(),
    }
    if json:
        screen.show_json(found)
        return
    machine = found["machine"]
    screen.table(("", ""), [(name, version) for name, version in found["versions"].items()], title="Versions")
    if unsafe:
        wanted = " ".join(f"'{name}>={release}'" for name, release in unsafe.items())
        screen.line(f"\nKnown holes in what is installed, closed in later releases: pip install {wanted}", "yellow")
    for hole in known_holes():
        closed = f"closed in {hole.fixed}" if hole.fixed else "no release closes it yet"
        about = f"{hole.package}, {hole.id}: {hole.about} ({closed}; as known on {ADVISORIES_OF})"
        screen.line(about, "dim")
    screen.line()
    memory = f"{machine['memory_gib']} GiB" if machine["memory_gib"] else "unknown"
    gpu = "used, because there is one" if device != "cpu" else "no GPU that torch can use was found"
    rows = [
        ("processor", machine["cpu"], ""),
        ("cores", machine["cores"], "as many fits of a study run side by side, one thread each"),
        ("memory", memory, ""),
        ("device", device, gpu),
        ("precision", precision, why),
    ]
    screen.table(("", "", ""), rows, title="Machine")
    screen.line()
    screen.table(("", ""), list(found["pretrained"].items()), title="Pretrained networks")

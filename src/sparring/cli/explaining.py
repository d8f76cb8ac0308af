"""sparring explain: why a model says what it says."""

from pathlib import Path

from ..errors import UsageError, printable
from ..words import plural
from .app import app, stem, studies
from .screen import Screen
from .typed import Count, Device, Flag, FollowLinks, Names, Seed


@app.command(group=studies)
def explain(
    model: Path,
    /,
    *images: Path,
    by: Names = (),
    about: str | None = None,
    data: str | None = None,
    run: Path | None = None,
    nearest: Count = 5,
    unchecked: Flag = False,
    out: Path | None = None,
    seed: Seed = 0,
    pretrained: str | None = None,
    device: Device = "auto",
    follow_links: FollowLinks = False,
    json: Flag = False,
    quiet: Flag = False,
):
    """Why a model says what it says of these images: a page with heat maps, and whether these explain anything.

    Of a training run: where its discriminator looks.

    Args:
        model: a model folder, such as STUDY/model, or a run of `sparring train`.
        images: image files, and folders of them; none for a run.
        by: heat maps: occlusion, of networks also grad-cam and integrated-gradients [default: the last of these for
            networks, occlusion for others].
        about: the class that is explained [default: the one that the model says].
        data: the data that the model learned from, whose labelled images are then named, and looked among; for a run
            the real images beside those that are drawn.
        run: a run of `sparring train` on such images: its generator shows what would have to change for another class.
        nearest: so many labelled images; for a run so many images of each kind.
        unchecked: leave out whether the maps explain anything, which takes most of the time.
        out: new folder for the page, pictures and explanations.json [default: MODEL-explained].
        seed: of the maps that show nothing, with which each map is compared.
        pretrained: the folder of the encoder that the model sees through, where it is not where it was.
        json: print JSON.
        quiet: print nothing but results.
    """
    from ..explaining.records import PAGE
    from ..records import to_json
    from ..reporting.verbs import explain as explanations_of

    screen = Screen(as_json=json, quiet=quiet)
    if not images and not (model / "recipe.json").is_file():
        raise UsageError("missing", "there are no images to explain", fix="name image files or folders after the model")
    out = out or Path(f"{stem(model.resolve())}-explained")
    with screen.progress("explaining") as line:
        found = explanations_of(
            model, images, by=by, about=about, data=data, run=run, most=nearest, checks=not unchecked, out=out,
            seed=seed, pretrained=pretrained, device=device, follow_links=follow_links, progress=line.show,
        )  # fmt: skip
    if json:
        screen.show_json(to_json(found.said, kinds=False))
        return
    for said in found.said.images:
        screen.line(printable(said.image), "bold")
        screen.line(
            f"  cannot be read: {said.problem}" if said.problem else "\n".join(f"  {s}" for s in said.sentences)
        )
    checked = [found for said in found.said.images for found in said.maps if found.explains is not None]
    if empty := sum(not one.explains for one in checked):
        screen.note(f"{empty:,} of {plural(len(checked), 'heat map')} explain nothing.", style="yellow")
    screen.line(f"\nPictures: {out / PAGE}")

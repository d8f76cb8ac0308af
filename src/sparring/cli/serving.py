"""The page: look at images, label, run, draw and try in a browser."""

import webbrowser
from pathlib import Path

from .app import app, stem, studies
from .reading import Reading
from .screen import Screen
from .signals import Interrupted
from .typed import DataSet, Device, Flag, Pretrained, Seed


@app.command(name="app", group=studies)
def page(
    data: DataSet,
    /,
    *,
    out: Path | None = None,
    model: Path | None = None,
    study: Path | None = None,
    run: tuple[Path, ...] = (),
    port: int = 0,
    open: Flag = False,
    reading: Reading = Reading(),
    pretrained: Pretrained = "efficientnet-lite0",
    device: Device = "auto",
    seed: Seed = 0,
    quiet: Flag = False,
):
    """A page in the browser: look at images, label them, run, draw and try.

    It is served on this machine to this machine alone, until Ctrl-C. Every answer is saved at once.

    Args:
        out: folder of the answers, of labels.csv, and of what is run [default: DATA-labels].
        model: model folder that "Try" asks [default: the labels of DATA].
        study: folder of a study, whose model "Try" asks, and whose report is shown.
        run: folder of a training run, whose samples are shown and which "Draw" draws from; several times for several.
        port: of this machine [default: one that is free].
        open: open the page in the browser.
        seed: another number, other random images.
        quiet: print nothing but the link.
    """
    from ..webapp.serving import serve

    screen = Screen(quiet=quiet)
    out = out or Path(f"{stem(data)}-labels")
    with serve(
        data, out=out, model=model, study=study, run=run, port=port, pretrained=pretrained, device=device, seed=seed,
        **vars(reading),
    ) as served:  # fmt: skip
        screen.command(served.link)
        screen.results.file.flush()
        screen.note(f"Open this link; it is for you alone. Answers go to {out}. Ctrl-C ends.")
        if open:
            webbrowser.open(served.link)
        try:
            served.wait()
        except KeyboardInterrupt as error:
            raise Interrupted(f"answers are in {out}", getattr(error, "number", 2)) from None

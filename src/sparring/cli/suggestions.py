"""sparring next: which images to label next."""

import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated
from zipfile import is_zipfile

from cyclopts import Parameter

from ..errors import UsageError, printable
from ..files import new_file, new_folder
from ..records import to_json
from ..words import plural
from .app import app, studies
from .reading import Reading
from .screen import Screen
from .typed import Count, DataSet, Device, Flag, Pretrained, Seed, Verbose

if TYPE_CHECKING:
    from ..study.labelling import NextImages

NO_SAMPLE = (
    "Chosen images are no random sample: an accuracy that is measured on them says nothing about other images. "
    "Images drawn at random do: --test 50."
)


@app.command(group=studies)
def next(
    data: DataSet,
    /,
    *,
    count: Annotated[Count, Parameter(alias="-n")] = 20,
    model: Path | None = None,
    test: Count | None = None,
    csv: Path | None = None,
    sheet: Path | None = None,
    copy_to: Path | None = None,
    reading: Reading = Reading(),
    pretrained: Pretrained = "efficientnet-lite0",
    device: Device = "auto",
    seed: Seed = 0,
    verbose: Verbose = False,
    json: Flag = False,
    quiet: Flag = False,
):
    """Which images to label next: those whose labels help most.

    Without labels: typical images, unlike each other. With labels: doubtful ones, too.

    No near duplicate comes twice, and no more images of a group than are needed.

    Of more than 10,000 unlabelled images so many are looked at, drawn at random.

    Args:
        count: how many.
        model: a model folder of `compare` or `fit`, whose doubts count [default: those of label spreading].
        test: so many more images, drawn at random, for a test part.
        csv: new table of labels with these images, to be filled, and with all labels that are known.
        sheet: PNG file of a contact sheet with their numbers.
        copy_to: new folder for copies of these images, to be moved into class folders.
        seed: another number, other images for the test.
        json: print JSON.
        quiet: print nothing but results.
    """
    from ..images import save_png
    from ..study.labelling import next_images
    from ..study.labelling.handing_out import copy_images, numbered_sheet, write_labels_table

    screen = Screen(as_json=json, quiet=quiet, verbose=verbose)
    if csv and reading.unlabelled not in (None, Path("none")):
        raise UsageError(
            "table-elsewhere",
            f"a table of {data} cannot label images of {reading.unlabelled}",
            fix="use --copy-to FOLDER, and move the copies into class folders",
        )
    if csv:
        csv = new_file(csv, data=data, option="--csv")
    if sheet:
        sheet = new_file(sheet, data=data, option="--sheet")
    if copy_to:
        copy_to = new_folder(copy_to, data=data)
    with screen.progress("choosing") as line:
        found = next_images(
            data, count, test=test or 0, model=model, pretrained=pretrained, device=device, seed=seed,
            progress=line.show, **vars(reading),
        )  # fmt: skip
    if csv:
        write_labels_table(csv, found)
    if sheet:
        title = f"images of {found.source.name} to label"
        save_png(sheet, numbered_sheet(found), text={"Software": "sparring", "Title": title})
    if copy_to:
        copy_images(found, copy_to, data)
    if json:
        places = {"csv": csv, "sheet": sheet, "copies": copy_to}
        screen.show_json(_as_json(found) | {name: place and str(place) for name, place in places.items()})
        return
    _draw(screen, found, count)
    for what, place in (("Table to fill", csv), ("Contact sheet", sheet), ("Copies", copy_to)):
        if place:
            screen.line(f"{what}: {place}")
    screen.line("\nWhat to do next", style="bold")
    for text, command in _steps(data, found, csv, copy_to):
        screen.line(f"- {text}")
        if command:
            screen.command(command)
    if not test:
        screen.note(f"\n{NO_SAMPLE}", style="yellow")


def _as_json(found: "NextImages") -> dict[str, object]:
    numbers = {"labelled": found.labelled, "unlabelled": found.unlabelled, "looked_at": found.looked_at}
    images = [to_json(one, kinds=False) for one in found]
    return {"images": images, **numbers, "features": found.features, "random_sample": False}


def _draw(screen: Screen, found: "NextImages", count: int) -> None:
    """Print the list: number, image, why."""
    chosen = [one for one in found if one.purpose == "learn"]
    title = (
        f"{found.source.name}: {plural(len(chosen), 'image')} to label next, of {found.unlabelled:,} without a label"
    )
    screen.line(title, style="bold")
    if found.looked_at < found.unlabelled:
        others = "show what a labelled or a test image shows, or were not drawn to be looked at"
        screen.note(f"{found.looked_at:,} of these could be chosen; the others {others}.")
    screen.table(("", "image", "why"), [(str(one.number), printable(one.image), one.why) for one in found], right=("",))
    if len(chosen) < count:
        screen.note(f"\nThere are no more: {count} were asked for, the others show the same or are of the same groups.")
    screen.line()


def _steps(data: str, found: "NextImages", csv: Path | None, copy_to: Path | None) -> Iterator[tuple[str, str]]:
    """Yield what to do next, and the command for it."""
    name, method = shlex.quote(data), "--method spreading"
    takes_table = Path(data).is_dir() or (Path(data).is_file() and is_zipfile(Path(data)) and data.endswith(".zip"))
    if csv and takes_table:
        place = shlex.quote(str(csv))
        yield (
            f"write the classes into the column label of {csv}, then learn from them",
            (f"sparring fit {name} --table {place} {method}"),
        )
        yield "or ask for more", f"sparring next {name} --table {place} --csv NEW.csv"
        if any(one.purpose == "test" for one in found):
            yield "or compare methods, tested on the random images", f"sparring compare {name} --table {place}"
    elif csv:
        yield f"write the labels into {data} itself: the table names the places", ""
    if copy_to:
        place = shlex.quote(str(copy_to))
        inside = copy_to / "train" if (copy_to / "train").is_dir() else copy_to
        yield (
            f"move each copy into a folder of its class, such as {inside}/cat, then learn from them",
            (f"sparring fit {place} --unlabelled {name} {method}"),
        )
    if not csv and not copy_to:
        ask = f"sparring next {name} -n {sum(one.purpose == 'learn' for one in found)}"
        yield "get a table to fill, and a sheet with their numbers", f"{ask} --csv LABELS.csv --sheet SHEET.png"

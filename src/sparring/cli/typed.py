"""What may be typed: numbers such as 200k, and sentences for what cannot be understood."""

from collections.abc import Sequence
from typing import Annotated

from cyclopts import App, Parameter
from cyclopts.exceptions import (
    CoercionError,
    CycloptsError,
    MissingArgumentError,
    RepeatArgumentError,
    UnknownCommandError,
    UnknownOptionError,
    UnusedCliTokensError,
)

from ..data.formats import source_words
from ..errors import UsageError, suggestion


def typed_number(text: str) -> float:
    """200k, 1.5M, 1e6, 1_000. Raises ValueError."""
    scale = {"k": 1e3, "m": 1e6}.get(text[-1:].lower(), 1)
    return float(text[:-1] if scale > 1 else text) * scale


def number_between(low: float, high: float, *, whole: bool):
    """A converter for an option that takes a number from `low` to `high`; refuses by a sentence, rounds nothing."""
    kind = "a whole number" if whole else "a number"

    def convert(_, tokens):
        name, text = tokens[0].keyword or "value", tokens[0].value
        try:
            value = typed_number(text)
        except ValueError:
            value = float("nan")
        if not low <= value <= high or (whole and value != int(value)):
            raise UsageError(
                "bad-number",
                f"{name} {text} is not {kind} from {low:g} to {high:g}",
                fix=f"give {name} {kind}, such as {name} {max(low, 1):g} (200k and 1.5M are understood)",
            )
        return int(value) if whole else value

    return convert


def several(_, tokens) -> list[str]:
    """A converter: svm,cnn or svm cnn."""
    return [item.strip() for token in tokens for item in token.value.split(",") if item.strip()]


def whole_or_auto(text: str, name: str) -> int | str:
    if text == "auto" or text.isdecimal():
        return text if text == "auto" else int(text)
    raise UsageError("bad-number", f"{name} {text} is neither auto nor a whole number", fix=f"give {name} auto, or 1")


def whole_or_all(text: str, name: str) -> int | None:
    """Return a whole number from 1 up; None of "all"."""
    if text == "all" or (text.isdecimal() and int(text) > 0):
        return None if text == "all" else int(text)
    raise UsageError("bad-number", f"{name} {text} is neither all nor a whole number", fix=f"give {name} 10, or all")


Count = Annotated[int, Parameter(converter=number_between(1, 1e12, whole=True))]
BatchSize = Annotated[int, Parameter(converter=number_between(2, 1e6, whole=True))]
Seed = Annotated[int, Parameter(converter=number_between(0, 2**53, whole=True))]
Minutes = Annotated[float, Parameter(converter=number_between(0.01, 1e6, whole=False))]
Share = Annotated[float, Parameter(converter=number_between(0.01, 0.99, whole=False))]
Names = Annotated[Sequence[str], Parameter(converter=several, n_tokens=1, show_default=False)]
DataSet = Annotated[str, Parameter(help=f"{source_words()}.", show_default=False)]
Flag = Annotated[bool, Parameter(negative="", show_default=False)]
Device = Annotated[str, Parameter(help="where is computed: auto, cpu or cuda.")]
Pretrained = Annotated[
    str,
    Parameter(
        help="what may come from other images: efficientnet-lite0, which is built in; none; a folder, or a model of "
        "the hub such as facebook/dinov2-small. Of several, with commas between them, held-out labels choose."
    ),
]
Download = Annotated[
    bool,
    Parameter(negative="", show_default=False, help="fetch what is not here from the hub; else no network is used."),
]
FollowLinks = Annotated[
    bool,
    Parameter(negative="", show_default=False, help="read what links name, also where they lead out of the folder."),
]
Verbose = Annotated[
    bool,
    Parameter(negative="", show_default=False, help="say all that reading left out, converted and doubts, by file."),
]


def understood(error: CycloptsError, app: App) -> UsageError:
    """The same in our grammar: what was typed, what is near, where to look."""
    if isinstance(error, CoercionError) and isinstance(error.__cause__, UsageError):
        return error.__cause__
    command = " ".join(("sparring", *(error.command_chain or ())))
    fix = f"see {command} --help"
    if isinstance(error, UnknownOptionError):
        name = error.token.keyword or error.token.value
        known = [name for argument in error.argument_collection for name in argument.names if name.startswith("--")]
        return UsageError("unknown-option", f"{command} has no option {name}{suggestion(name, known)}", fix=fix)
    if isinstance(error, UnknownCommandError) and error.unused_tokens:
        names = [name for name in app if not name.startswith("-")]
        name = error.unused_tokens[0]
        return UsageError(
            "unknown-command",
            f"there is no command {name!r}{suggestion(name, names)}",
            fix=f"choose one of {', '.join(names)}",
        )
    if isinstance(error, MissingArgumentError) and error.argument:
        name = error.keyword or error.argument.name
        what = (
            f"{name} needs a value"
            if error.keyword
            else f"{command} needs {name.lstrip('-') if name.isupper() else name}"
        )
        return UsageError("missing", what, fix=fix)
    if isinstance(error, UnusedCliTokensError) and error.unused_tokens:
        return UsageError("too-many", f"{command} does not take {' '.join(error.unused_tokens)!r} as well", fix=fix)
    if isinstance(error, RepeatArgumentError):
        return UsageError("given-twice", f"{error.token.keyword} is given twice", fix=f"keep one; {fix}")
    text = " ".join(str(error).split()).rstrip(".")
    return UsageError("usage", text[:1].lower() + text[1:], fix=fix)

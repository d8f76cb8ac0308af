"""A user's own recipe file: run once for each content, copied into the run, and run from there only with consent.

A recipe may use classes that its file defines (`@record class MyLoss`). JSON names classes only, so whoever reads such
a run needs the file. The run keeps a copy in `own/` and its SHA-256 in recipe.json.
"""

import sys
import traceback
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

from .. import files
from ..errors import FileFormatError, SparringError, UsageError
from ..records import RECORDS, walk

FOLDER, MODULE = "own", "sparring_own_"


@dataclass(frozen=True)
class OwnCode:
    """A file that was run in this process: its name without folder, its content, and what it defined."""

    name: str
    content: bytes
    module: ModuleType

    @property
    def sha256(self) -> str:
        return files.sha256_of(self.content)

    def to_json(self) -> dict[str, str]:
        return {"file": self.name, "sha256": self.sha256}

    def write(self, run: Path) -> None:
        files.make_folder(run / FOLDER)
        files.write_bytes(run / FOLDER / self.name, self.content)


_executed: dict[str, OwnCode] = {}  # by SHA-256


def execute(path: Path) -> OwnCode:
    """Run a Python file as a module, once for each content in a process, and let JSON name the records it defines.

    Raises UsageError where there is no such file, it does not parse, or it raises.
    """
    try:
        content = path.read_bytes()
    except OSError:
        raise UsageError("no-recipe-file", f"there is no file {path}", fix="pass file.py:name of a recipe") from None
    digest = files.sha256_of(content)
    if digest not in _executed:
        module = ModuleType(f"{MODULE}{digest[:16]}")
        module.__file__ = str(path)
        sys.modules[module.__name__] = module
        try:
            exec(compile(content, str(path), "exec"), vars(module))
        except SparringError:
            raise
        except (Exception, SystemExit) as error:
            lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == str(path)]
            line = error.lineno if isinstance(error, SyntaxError) else lines[-1] if lines else None
            what = f"{type(error).__name__}: {error.msg if isinstance(error, SyntaxError) else error}"
            where = f"line {line}: " if line else ""
            raise UsageError("recipe-file", f"{path} cannot be run: {where}{what}", fix="mend the file") from error
        _executed[digest] = OwnCode(path.name, content, module)
    found = _executed[digest]
    # another file may have defined classes of the same names since
    own = [value for value in vars(found.module).values() if isinstance(value, type)]
    RECORDS.update({kind.__name__: kind for kind in own if kind.__module__ == found.module.__name__})
    return found


def own_code(value: object) -> OwnCode | None:
    """Return the file that defined classes of this recipe or network, or None where all are sparring's."""
    modules = {type(item).__module__ for item in walk(value)}
    return next((code for code in _executed.values() if code.module.__name__ in modules), None)


def foreign_modules(value: object) -> list[str]:
    """Return the modules, other than sparring's, that define classes of this recipe."""
    return sorted({m for m in (type(item).__module__ for item in walk(value)) if m.split(".")[0] != "sparring"})


def admit(run: Path, entry: object, *, trust_code: bool) -> OwnCode | None:
    """Return the run's own code, ready for use; None where it has none.

    It is run where the same content ran in this process before, or the caller trusts it. Raises UsageError without
    consent, FileFormatError where the copy is missing or is not what the run was trained with.
    """
    if entry is None:
        return None
    named, wanted = (entry.get(name) for name in ("file", "sha256")) if isinstance(entry, dict) else (None, None)
    path = files.inside(run / FOLDER, named)
    try:
        digest = files.sha256_of(files.read_bytes(path))
    except OSError as error:
        raise FileFormatError("own-code", f"cannot read {path}, the code of this run", fix="restore it") from error
    if digest != wanted:
        what = f"{path} is not the code that {run} was trained with: its hash differs"
        raise FileFormatError("own-code", what, fix="restore the file, or train again in another folder")
    if digest not in _executed and not trust_code:
        what = f"{run} was trained with code of its own, {path}, which has not been run: it could do anything"
        raise UsageError("own-code", what, fix="read it, then repeat with --trust-code (in Python trust_code=True)")
    return execute(path)

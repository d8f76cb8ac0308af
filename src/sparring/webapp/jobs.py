"""Comparisons and trainings that were asked for, one after the other: the same commands that a person would type.

    LABELS/  queue.json  runs/3-compare/  runs/3.log  runs/3-labels.csv

What is waiting stands in queue.json; what is done stands in the folders that the commands write, and a command that was
stopped goes on where it was. So a server that is killed and started again goes on with the queue.
"""

import shlex
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from .. import files
from ..data.formats import FORMATS
from ..errors import FileFormatError, MachineError, SparringError, UsageError, printable
from ..records import read_record, to_json
from ..reporting import write
from .gallery import Reading

QUEUE, RUNS = "queue.json", "runs"
QUEUE_FORMAT = 1
LAST_LINES, LAST_BYTES = 12, 4096  # of what a command says
SAVING = 30.0  # seconds in which a command that was asked to stop saves
PAGES = ("report.html", "mistakes.html")
JobState = Literal["waiting", "running", "stopped", "finished", "broken"]


@dataclass(frozen=True)
class JobWanted:
    """What the page may ask for; names are of METHODS and RECIPES. images, recipe: of a training."""

    kind: Literal["compare", "train"]
    methods: tuple[str, ...] = ()
    repeats: int = 6
    minutes: float = 15
    recipe: str = "auto"
    images: int = 200_000


@dataclass(frozen=True)
class Job:
    """A line of the queue. seconds: that it ran for, all its starts together."""

    number: int
    wanted: JobWanted
    state: JobState = "waiting"
    labels: bool = False
    seconds: float = 0.0


@dataclass(frozen=True)
class JobQueue:
    """What queue.json holds."""

    format: int
    jobs: tuple[Job, ...]


@dataclass(frozen=True)
class JobShown:
    """What the page shows. done: fits of a comparison, images of a training. log: the last lines that it said."""

    number: str
    kind: str
    title: str
    state: str
    seconds: float
    done: int
    report: bool
    samples: str
    log: tuple[str, ...]


class RunQueue:
    """The queue of one data set, and the thread that starts what is next."""

    def __init__(
        self,
        folder: Path,
        source: object,
        reading: Reading,
        snapshot: Callable[[Path], bool],
        given: dict[str, Path],
    ):
        """`snapshot` writes the labels of now to a file, and says whether anybody gave any. given: name -> folder of
        what was run elsewhere."""
        self.folder, self.source, self.reading, self.snapshot, self.given = folder, source, reading, snapshot, given
        self.lock, self.ended, self.process = threading.RLock(), threading.Event(), None
        self.program = [sys.executable, "-m", "sparring"]
        self.jobs = self._read()
        self.thread = threading.Thread(target=self._run, name="sparring-jobs", daemon=True)

    def _read(self) -> dict[int, Job]:
        if not (self.folder / QUEUE).exists():
            return {}
        kept = read_record(JobQueue, files.read_json(self.folder / QUEUE), name=str(self.folder / QUEUE))
        jobs = (replace(job, state="waiting") if job.state == "running" else job for job in kept.jobs)
        return {job.number: job for job in jobs}

    def _keep(self, job: Job) -> None:
        with self.lock:
            self.jobs[job.number] = job
            self._write()

    def _write(self) -> None:
        files.write_json(self.folder / QUEUE, to_json(JobQueue(QUEUE_FORMAT, tuple(self.jobs.values())), kinds=False))

    # --- what the page asks

    def add(self, wanted: JobWanted) -> Job:
        """Put a command into the queue. Raises UsageError for what cannot be run."""
        self._check(wanted)
        with self.lock:
            number = 1 + max([*self.jobs, 0])
            files.make_folder(self.folder / RUNS)
            labels = self._takes_table() and self.snapshot(self.folder / RUNS / f"{number}-labels.csv")
            job = Job(number, wanted, labels=labels)
            self._keep(job)
        return job

    def _check(self, wanted: JobWanted) -> None:
        from ..classifiers.methods import METHODS
        from ..games.recipes import RECIPES

        if not isinstance(self.source, str | Path):
            raise UsageError("run-data", "images in memory cannot be given to a command", fix="serve a folder or file")
        for name in wanted.methods:
            METHODS[name]
        if wanted.recipe != "auto":
            RECIPES[wanted.recipe]
        for name, value, most in (("repeats", wanted.repeats, 1000), ("minutes", wanted.minutes, 100_000),
                                  ("images", wanted.images, 10**9)):  # fmt: skip
            if not 0 < value <= most:
                raise UsageError("bad-number", f"{name} is {value}", fix=f"give a number up to {most:,}")

    def _takes_table(self) -> bool:
        path = Path(str(self.source))
        start = b""
        with suppress(OSError), path.open("rb") as file:
            start = file.read(32)
        return path.exists() and any(row.takes_table and row.recognises(path, start) for row in FORMATS)

    def stop(self, number: int) -> None:
        """Ask a command to save and end, or let a waiting one wait until `resume`."""
        job = self._job(number)
        if job.state not in ("waiting", "running"):
            return
        self._keep(replace(job, state="stopped"))
        with self.lock:
            if self.process is not None and self.process[0] == number:
                with suppress(OSError):
                    self.process[1].send_signal(signal.SIGINT)

    def resume(self, number: int) -> None:
        """Let a stopped, broken or finished command go on in its turn."""
        job = self._job(number)
        if job.state != "running":
            self._keep(replace(job, state="waiting"))

    def remove(self, number: int) -> None:
        """Take a command that does not run off the list; what it wrote stays."""
        if self._job(number).state == "running":
            raise UsageError("run-running", f"run {number} is running", fix="stop it first")
        with self.lock:
            del self.jobs[number]
            self._write()

    def _job(self, number: int) -> Job:
        with self.lock:
            if number not in self.jobs:
                raise UsageError("run-number", f"there is no run {number}", fix="reload the page")
            return self.jobs[number]

    # --- what is run

    def place(self, job: Job) -> Path:
        return self.folder / RUNS / f"{job.number}-{job.wanted.kind}"

    def command(self, job: Job) -> list[str]:
        """Return the words of the command, without the program."""
        wanted = job.wanted
        reading = {name: value for name, value in self.reading.items() if value not in (None, False)}
        if job.labels:
            reading["table"] = self.folder / RUNS / f"{job.number}-labels.csv"
        words = [wanted.kind, str(self.source), "--out", str(self.place(job)), "--minutes", f"{wanted.minutes:g}"]
        if wanted.kind == "compare":
            words += ["--repeats", str(wanted.repeats)]
            words += ["--methods", ",".join(wanted.methods)] if wanted.methods else []
        else:
            words += ["--recipe", wanted.recipe, "--images", str(wanted.images)]
        for name, value in reading.items():
            words += [f"--{name.replace('_', '-')}"] if value is True else [f"--{name.replace('_', '-')}", str(value)]
        return words

    def _run(self) -> None:
        """Start the next command whenever none runs."""
        while not self.ended.wait(0.3):
            with self.lock:
                waiting = next((job for job in self.jobs.values() if job.state == "waiting"), None)
            if waiting is None or self._held(self.place(waiting)):
                continue
            try:
                self._work(waiting)
            except (SparringError, OSError) as error:
                self._log(waiting, f"{error}\n")
                self._keep(replace(self._job(waiting.number), state="broken"))

    def _held(self, place: Path) -> bool:
        """Return whether another process works in a folder: one that a killed server had started."""
        if not place.is_dir():
            return False
        try:
            with files.locked(place):
                return False
        except MachineError:
            return True
        except FileFormatError:
            return False

    def _log(self, job: Job, text: str) -> None:
        with (self.folder / RUNS / f"{job.number}.log").open("a", encoding="utf-8") as file:
            file.write(text)

    def _work(self, job: Job) -> None:
        words = self.command(job)
        self._log(job, f"sparring {shlex.join(words)}\n")
        begun = time.monotonic()
        with (self.folder / RUNS / f"{job.number}.log").open("ab") as log:
            made = subprocess.Popen(
                [*self.program, *words], stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                start_new_session=True,
            )  # fmt: skip
        with self.lock:
            self.process = job.number, made
            self._keep(replace(job, state="running"))
        while made.poll() is None and not self.ended.wait(0.3):
            pass
        if made.poll() is None:  # the server ends
            made.send_signal(signal.SIGINT)
            with suppress(subprocess.TimeoutExpired):
                made.wait(SAVING)
        with self.lock:
            self.process = None
            now = self.jobs.get(job.number, job)
            seconds = round(now.seconds + time.monotonic() - begun, 1)
            if now.state == "running":
                state = "waiting" if self.ended.is_set() else "broken" if made.returncode else "finished"
                now = replace(now, state=state)
            self._keep(replace(now, seconds=seconds))

    def close(self) -> None:
        """Let the command that runs save and end; the queue goes on at the next start."""
        self.ended.set()
        if self.thread.is_alive():
            self.thread.join(SAVING + 1)

    # --- what is shown

    def shown(self) -> list[JobShown]:
        """Return all of them, the newest first, then what was named at the start."""
        with self.lock:
            jobs = sorted(self.jobs.values(), key=lambda job: -job.number)
        found = [self._shown(job) for job in jobs]
        for name, place in self.given.items():
            kind = "compare" if name == "study" else "train"
            found.append(self._seen(name, kind, place, place.name, "finished", 0.0, ()))
        return found

    def _shown(self, job: Job) -> JobShown:
        lines = last_lines(self.folder / RUNS / f"{job.number}.log")
        title = shlex.join(["sparring", *self.command(job)])
        return self._seen(str(job.number), job.wanted.kind, self.place(job), title, job.state, job.seconds, lines)

    def _seen(
        self, number: str, kind: str, place: Path, title: str, state: str, seconds: float, lines: tuple[str, ...]
    ) -> JobShown:
        samples = newest_samples(place)
        done = 0
        with suppress(SparringError, OSError, ValueError):
            rows = files.read_lines(place / ("results.jsonl" if kind == "compare" else "log.jsonl"))
            done = len(rows) if kind == "compare" else int(rows[-1].get("images", 0)) if rows else 0
        report = any((place / name).is_file() for name in ("summary.json", "recipe.json"))
        return JobShown(
            number, kind, printable(title), state, seconds, done, report, samples.stem if samples else "", lines
        )

    def folder_of(self, name: str) -> Path:
        """Return the folder of a run by its number, or of what was named at the start. Raises UsageError."""
        if name in self.given:
            return self.given[name]
        return self.place(self._job(int(name) if name.isdecimal() and len(name) < 9 else -1))

    def report(self, name: str, page: str) -> bytes:
        """Return the report of a run, written anew, or the page of mistakes beside it. Raises SparringError."""
        folder = self.folder_of(name)
        if page == PAGES[0]:
            write(folder)
        try:
            return files.read_bytes(folder / page)
        except FileNotFoundError:
            raise UsageError("no-report", f"run {name} has no {page}", fix="wait until it has results") from None

    def samples(self, name: str) -> bytes:
        """Return the newest picture of what a training draws. Raises UsageError."""
        found = newest_samples(self.folder_of(name))
        if found is None:
            raise UsageError("no-samples", f"run {name} has no samples yet", fix="wait a moment")
        return files.read_bytes(found)


def newest_samples(folder: Path) -> Path | None:
    """Return the newest picture of the samples of a run."""
    return max((folder / "samples").glob("images-*.png"), default=None)


def last_lines(path: Path) -> tuple[str, ...]:
    """Return the last lines of a log, as harmless text."""
    with suppress(OSError), path.open("rb") as file:
        file.seek(max(0, path.stat().st_size - LAST_BYTES))
        lines = file.read().decode("utf-8", "replace").splitlines()
        return tuple(printable(line) for line in lines if line.strip())[-LAST_LINES:]
    return ()

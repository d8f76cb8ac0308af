"""Ctrl-C and SIGTERM: the first asks the work to save and end, the second ends it at once."""

import signal
from contextlib import contextmanager


class Interrupted(KeyboardInterrupt):
    """Ended by a signal; the text says what is saved and how to go on."""

    def __init__(self, text: str = "", number: int = signal.SIGINT):
        super().__init__(text)
        self.text, self.number = text, number

    @property
    def exit_code(self) -> int:
        return 128 + self.number


def interrupt(number, _frame):
    raise Interrupted(number=number)


@contextmanager
def handled(handler, *numbers):
    """Inside, these signals go to `handler`, as far as the thread may set that (only the main thread may)."""
    before = {}
    try:
        for number in numbers:
            before[number] = signal.signal(number, handler)
    except ValueError:
        yield
        return
    try:
        yield
    finally:
        for number, old in before.items():
            signal.signal(number, old)


class Stop:
    """A wish to stop, which the work asks for: `with Stop() as stop: ... if stop(): save and end`.

    Until the work asks for the first time it has nothing to save, and a signal ends it at once.
    """

    def __init__(self):
        self.asked, self.number = False, 0
        self.handlers = handled(self.handle, signal.SIGINT, signal.SIGTERM)

    def __call__(self) -> bool:
        self.asked = True
        return bool(self.number)

    def handle(self, number, _frame):
        if self.number or not self.asked:
            raise Interrupted(number=number)
        self.number = number

    def __enter__(self) -> "Stop":
        self.handlers.__enter__()
        return self

    def __exit__(self, *error) -> None:
        self.handlers.__exit__(*error)

"""What is wrong with a data set: labels to check, odd images, properties that give the class away, weak groups.

label_errors   labels that are probably wrong, by confident learning
pictures       dark, light, empty, blurred and odd-sized images, and those like no other
findings       the records of audit.json; auditing: all of it, and audit.csv
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .auditing import audit
    from .findings import Audit

__all__ = ["Audit", "audit"]

_HOMES = {"audit": "auditing", "Audit": "findings"}


def __getattr__(name: str):
    if name not in _HOMES:
        raise AttributeError(f"module 'sparring.study.audit' has no attribute {name!r}")
    return getattr(import_module(f".{_HOMES[name]}", __name__), name)

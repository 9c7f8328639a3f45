"""Text in CSV that a spreadsheet would run as a formula, and back.

Whoever names a recording `=cmd|...` has it run on the machine of whoever opens the table. As
OWASP's page "CSV Injection" advises, such text gets an apostrophe in front; one that has some
already gets another, so that nothing is lost.
"""

from __future__ import annotations

import re

_FORMULA = re.compile(r"'*[=+\-@\t\r\n\uff1d\uff0b\uff0d\uff20]")
"""What OWASP names: the signs, their full-width forms, and blanks that some programs skip."""


def as_text(text: str) -> str:
    """What a spreadsheet shows as it is instead of running it."""
    return f"'{text}" if _FORMULA.match(text) else text


def from_text(cell: str) -> str:
    """What `as_text` was given."""
    return cell[1:] if cell.startswith("'") and _FORMULA.match(cell) else cell

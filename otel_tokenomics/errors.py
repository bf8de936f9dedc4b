"""The one exception tree of the package.

    TokenomicsError
    ├── ConfigError          a setting given in code is unknown or has a value of the wrong kind
    ├── PriceBookError       a price book or overlay breaks a rule; the last good one stays in use
    └── BadInputError        a file or line given to a command cannot be read

Nothing of this tree is ever raised into a call of a wrapped client.
"""

from __future__ import annotations


class TokenomicsError(Exception):
    """Base of every error that this package raises on purpose."""


class ConfigError(TokenomicsError, ValueError):
    """A setting passed in code is unknown or has a value that it cannot take.

    The message names the setting, the value and the values that are allowed.
    """


class PriceBookError(TokenomicsError, ValueError):
    """A price book or overlay was refused.

    The message names the origin (file), the place inside it (a path such as
    ``models[3].rows[0].rates.input``) and the rule that is broken; ``place`` and ``rule`` hold the last two apart,
    empty where no place inside the book is at fault.
    """

    place: str = ""
    rule: str = ""


class BadInputError(TokenomicsError, ValueError):
    """A file or a line given to a command is not what the command reads.

    The message is one line that names file, line and field.
    """

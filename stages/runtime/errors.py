"""The one exception for mistakes that a person can mend."""

from stages.runtime.names import printable


class UserError(Exception):
    """A mistake in settings or images: each line says what is wrong, where, and what to do."""

    def __init__(self, *lines: str) -> None:
        # names in them are anybody's, and libraries' reasons may have several lines
        self.lines = tuple(printable(" ".join(line.split("\n"))) for line in lines)
        super().__init__("\n".join(self.lines))

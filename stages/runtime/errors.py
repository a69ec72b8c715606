"""The one exception for mistakes that a person can mend."""


class UserError(Exception):
    """A mistake in settings or images: each line says what is wrong, where, and what to do."""

    def __init__(self, *lines: str) -> None:
        super().__init__("\n".join(lines))
        self.lines = lines

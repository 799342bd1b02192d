"""What is raised when a caller's `should_stop` returned True."""


class Interrupted(Exception):
    """The caller's `should_stop` said so; nothing was returned."""

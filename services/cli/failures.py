"""Why a command of the command line could not do its work."""


class CommandError(RuntimeError):
    """The work failed for a reason that the text says, with the mend."""

"""Errors that a user can fix."""


class UserError(Exception):
    """A mistake of the user. One line names the file or option, the problem and the remedy.

    The command line prints it without a traceback and exits with code 2.
    """

"""What a user can mend."""


class UserError(Exception):
    """A mistake of the user's: one line that names the file or option, what is wrong and the remedy.

    The command line prints it without a traceback and exits with code 2.
    """

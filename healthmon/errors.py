"""One tree of errors, sorted by who must act. Each carries the exit code that the command line ends with."""

from __future__ import annotations


class HealthmonError(Exception):
    """Anything healthmon refuses or fails at. The text is one sentence that names the fix where there is one."""

    exit_code: int = 1


class ConfigurationError(HealthmonError):
    """The operator must change a setting or an argument; nothing was started."""

    exit_code = 2


class Refused(HealthmonError):
    """The sender must change what it sends; nothing was stored."""

    exit_code = 2


class NoSuchComponent(HealthmonError, KeyError):
    """No component of that id is known. A KeyError too, so that mapping-like callers may catch it as one."""

    exit_code = 3

    def __str__(self) -> str:
        return str(self.args[0]) if self.args else "no such component"


class NotPermitted(HealthmonError):
    """Redis refused the user or the password; the operator must grant what `healthmon acl` prints."""

    exit_code = 4


class StoreUnavailable(HealthmonError):
    """Redis could not be reached, or did not answer; trying again later is right."""

    exit_code = 5


class UnfitServer(StoreUnavailable):
    """Redis answers but may not hold health state: a replica, evicting, too old. Trying again does not help."""


class NoLeader(HealthmonError):
    """No replica leads, or the leader did not get to the request in time."""

    exit_code = 6


class Fenced(HealthmonError):
    """A write was refused because the lease is another's: the replica must step down at once."""


class GenerationChanged(HealthmonError):
    """The data set is not the one this replica knew: it was lost or replaced, and must be met anew."""


class TimedOut(HealthmonError):
    """What was waited for did not happen within the given time."""

    exit_code = 124

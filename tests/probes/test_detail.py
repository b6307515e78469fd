"""What is told of an error, and what is not."""

from __future__ import annotations

import errno
import socket

from healthmon.probes.detail import is_ours, is_refusal, one_line, told

REFUSED = ConnectionRefusedError(errno.ECONNREFUSED, "Connection refused")
UNREACHABLE = OSError(errno.EHOSTUNREACH, "No route to host")


def several(*errors: OSError) -> OSError:
    error = OSError("All connection attempts failed")
    error.__cause__ = ExceptionGroup("several", errors)
    return error


def test_only_when_every_address_refused_nobody_listens() -> None:
    assert is_refusal(REFUSED)
    assert is_refusal(several(REFUSED, REFUSED))
    assert not is_refusal(several(REFUSED, UNREACHABLE))
    assert told(several(UNREACHABLE, REFUSED)) == "No route to host"


def test_a_shortage_of_this_machine_says_nothing_of_the_other_side() -> None:
    assert is_ours(several(OSError(errno.EMFILE, "Too many open files")))
    assert is_ours(MemoryError())
    assert not is_ours(REFUSED)
    # The numbers of name resolution are other numbers.
    assert not is_ours(socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution"))
    assert not is_ours(socket.gaierror(errno.EAGAIN, "anything"))


def test_what_stands_before_the_at_sign_is_masked_as_written_and_as_meant() -> None:
    url = "redis://monitor:p%40ss@db.example:6379/0"
    assert one_line("monitor said p@ss or p%40ss to db.example", url) == "*** said *** or *** to db.example"
    assert one_line("token is secret", "http://token@web.example/") == "*** is secret"
    assert one_line("as before", "tcp://db.example:5432") == "as before"


def test_a_url_that_cannot_be_read_is_masked_whole() -> None:
    url = "http://[user:pass@host/"
    assert one_line(f"bad address {url}", url) == "bad address ***"


def test_a_detail_is_one_short_line() -> None:
    assert one_line("a\n\tb\x1b[31m\u200b") == "a b?[31m?"
    assert one_line("x" * 500) == "x" * 199 + "…"

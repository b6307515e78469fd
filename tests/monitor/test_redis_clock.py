"""The server's clock carried along: late answers are no steps, steps are, and looks never come late."""

from __future__ import annotations

from healthmon.monitor.redis_clock import RedisClock


def test_an_answer_that_was_read_late_is_no_step_of_the_clock() -> None:
    redis_clock = RedisClock()
    assert redis_clock.sample(1_000_000, sent_s=10.0, got_s=11.5) == 0
    assert redis_clock.sample(1_003_000, sent_s=13.0, got_s=13.001) == 0


def test_a_step_forward_and_one_back_are_told_by_their_length() -> None:
    redis_clock = RedisClock()
    redis_clock.sample(1_000_000, sent_s=10.0, got_s=10.001)
    assert redis_clock.sample(1_061_000, sent_s=11.0, got_s=11.001) in range(59_990, 60_001)
    assert redis_clock.sample(1_002_000, sent_s=12.0, got_s=12.001) in range(-60_001, -59_990)


def test_samples_far_apart_tell_of_no_step() -> None:
    redis_clock = RedisClock()
    redis_clock.sample(1_000_000, sent_s=10.0, got_s=10.001)
    assert redis_clock.sample(1_090_000, sent_s=20.0, got_s=20.001) == 0


def test_a_late_answer_makes_the_next_look_early_and_never_late() -> None:
    redis_clock = RedisClock()
    redis_clock.sample(1_000_000, sent_s=10.0, got_s=10.4)
    assert redis_clock.local_s(1_001_000) == 11.0

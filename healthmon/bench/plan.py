"""How much is measured: everything in under three minutes on two cores, or a little of everything in seconds."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Plan:
    """The counts of a run."""

    rounds: int
    read: int  # heartbeats of each reading round over 1000 components
    fleet: int  # components of the large table
    publish: int  # heartbeats of each publishing round
    changes: int  # changes of state measured end to end
    stage_s: float  # of silence until degraded; twice and three times that until unhealthy and dead
    silent: tuple[int, ...]  # groups of a hundred that fall silent together
    mass: int  # components that fall silent all together
    kills: int
    handovers: int
    settle_s: float  # between two losses of the leader, so that the one that came back is known
    remembered: int  # components of the measured memory
    warm_up_s: float
    rest_s: float  # how long a replica at rest is watched
    load_s: float  # how long one under load is watched


FULL = Plan(
    rounds=9,
    read=20_000,
    fleet=100_000,
    publish=2_000,
    changes=200,
    stage_s=1.0,
    silent=(100, 100, 100),
    mass=1000,
    kills=10,
    handovers=5,
    settle_s=1.2,
    remembered=100_000,
    warm_up_s=3.0,
    rest_s=15.0,
    load_s=10.0,
)
QUICK = Plan(
    rounds=5,
    read=2_000,
    fleet=5_000,
    publish=200,
    changes=6,
    stage_s=0.3,
    silent=(20,),
    mass=100,
    kills=1,
    handovers=1,
    settle_s=0.1,
    remembered=2_000,
    warm_up_s=0.2,
    rest_s=1.0,
    load_s=1.0,
)

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
    silent: tuple[int, ...]  # groups of a hundred that fall silent together
    mass: int  # components that fall silent all together
    kills: int
    handovers: int
    remembered: int  # components of the measured memory
    rest_s: float  # how long a replica at rest is watched
    load_s: float  # how long one under load is watched


FULL = Plan(
    rounds=9,
    read=20_000,
    fleet=100_000,
    publish=2_000,
    changes=200,
    silent=(100, 100, 100),
    mass=1000,
    kills=10,
    handovers=5,
    remembered=100_000,
    rest_s=15.0,
    load_s=10.0,
)
QUICK = Plan(
    rounds=5,
    read=2_000,
    fleet=5_000,
    publish=200,
    changes=6,
    silent=(20,),
    mass=100,
    kills=1,
    handovers=1,
    remembered=2_000,
    rest_s=1.0,
    load_s=1.0,
)

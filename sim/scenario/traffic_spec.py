"""How a scenario writes its traffic: who sends what, and when."""

from __future__ import annotations

from typing import Annotated, Final

from pydantic import Field, model_validator

from sim.scenario.arrival_spec import Arrivals
from sim.scenario.distribution_spec import SizeLaw, TimeLaw
from sim.scenario.fields import (
    Count,
    Duration,
    OrNone,
    PositivePolicyTime,
    Section,
    count_up_to,
    written,
)

__all__ = ["FROM_PROFILE", "Clients", "Network", "Retries", "Traffic"]

FROM_PROFILE: Final = " Default: the calibration's value with model.profile, else 0ms."


class Clients(Section):
    """A closed loop: each client sends, waits for its answer, thinks, and sends again."""

    count: Count = Field(description="How many clients there are.")
    think: TimeLaw = written("0ms", "The time between an outcome and the client's next request.")


class Retries(Section):
    """What a client does when it is refused: exponential back-off."""

    attempts: Annotated[int, count_up_to(100)] = Field(1, description="Sends of one request, the first one included.")
    backoff: PositivePolicyTime = written("100ms", "The longest wait before the first retry; it doubles.")
    backoff_max: PositivePolicyTime = written("10s", "Where the doubling stops.")
    jitter: bool = Field(True, description="Wait a uniform share of that time instead of all of it.")


class Network(Section):
    """The way between client and front end, which occupies neither."""

    there: Duration | None = Field(None, description="From the client to the front end." + FROM_PROFILE)
    back: Duration | None = Field(None, description="From the front end to the client." + FROM_PROFILE)


class Traffic(Section):
    """Who sends what, and when: either `arrivals` (open loop) or `clients` (closed loop)."""

    arrivals: Arrivals | None = Field(None, description="When requests come, whatever the answers.")
    clients: Clients | None = Field(None, description="Clients that wait for their answers.")
    timeout: Annotated[TimeLaw | None, OrNone] = Field(
        None, description="How long a client waits for an attempt before it hangs up. Default: for ever."
    )
    sizes: SizeLaw | None = Field(
        None, description="The size of a request in the model's unit, such as tokens. Default: as recorded, else 1."
    )
    retries: Retries = Field(default_factory=Retries, description="What follows a refusal.")
    network: Network = Field(default_factory=Network, description="The way to the server and back.")

    @model_validator(mode="after")
    def _one_kind_of_load(self) -> Traffic:
        if (self.arrivals is None) == (self.clients is None):
            raise ValueError("must have either arrivals or clients.")
        return self

"""Trials of the MOD paper: the trainings on whole videos and on rated segments behind its tables and figures."""

import dataclasses
from typing import Any, ClassVar, NamedTuple, TypeAlias

from reproduce.trials import Trial
from youtube8m_distill import schema
from youtube8m_distill.settings import require

DBOF, NEXTVLAD, LARGE = "DBoF", "NeXtVLAD", "NeXtVLAD_large"
MIX, MIX_LARGE, MOD = "MixNeXtVLAD", "MixNeXtVLAD_large", "MODNeXtVLAD"
PRETRAINED, SCRATCH, FINETUNED = METHODS = ("pretrained", "scratch", "finetuned")  # on videos, on segments, on both
EXTRACTED = "extracted"  # the role of a single network that is taken out of a mixture


class Network(NamedTuple):
    """A network of the paper.

    Attributes:
        model: a value of --model.
        settings: network settings, unless a flag gives another value.
        is_large: whether it has twice as many clusters and twice the expansion.
        shape: network settings that define it, so that no flag changes them.
        extracted: path of the network that is taken out of the mixture; "" for none.
        num_base: number of base networks.
    """

    model: str
    settings: dict[str, Any] = {}
    is_large: bool = False
    shape: dict[str, Any] = {}
    extracted: str = ""
    num_base: int = 1


NETWORKS = {
    DBOF: Network("DbofModel", {"dbof_cluster_size": 2048, "dbof_hidden_size": 1024, "moe_num_mixtures": 5}),
    NEXTVLAD: Network("NeXtVLADModel"),
    LARGE: Network("NeXtVLADModel", is_large=True),
    MIX: Network("MixNeXtVladModel", shape={"mix_number": 3}, extracted="0", num_base=3),
    MIX_LARGE: Network("MixNeXtVladModel", is_large=True, shape={"mix_number": 4}, extracted="0", num_base=4),
    MOD: Network("MODNeXtVladModel", shape={"mix_number": 3, "mod_number": 4}, extracted="0.0", num_base=12),
}


@dataclasses.dataclass(frozen=True)
class SegmentTrial:
    """One training of a network, with the interface of a Trial. All trials of an experiment share sizes and schedules.

    Attributes:
        network: a key of NETWORKS.
        method: one of METHODS.
        temperature: T of the online distillation on segments; None for a network that is not a mixture, and for
            pretraining, which is the same for all T.
        seed: random seed.
    """

    network: str
    method: str
    temperature: float | None = None
    seed: int = 0
    measure: ClassVar[str] = "map_at_k"
    recipe: ClassVar[str] = ""  # no trial has another than the experiment's

    def __post_init__(self):
        require(self.network in NETWORKS, "network", f"is unknown; choose one of {', '.join(NETWORKS)}.", self.network)
        require(self.method in METHODS, "method", f"is unknown; choose one of {', '.join(METHODS)}.", self.method)
        needs_temperature = self.is_mixture and self.method != PRETRAINED
        reason = "must be given for a mixture that is trained on segments, and only for that."
        require((self.temperature is not None) == needs_temperature, "temperature", reason, self.temperature)

    @property
    def is_mixture(self) -> bool:
        return bool(NETWORKS[self.network].extracted)

    @property
    def on_segments(self) -> bool:
        """Whether the network is trained on segments, at last or at all."""
        return self.method != PRETRAINED

    @property
    def family(self) -> str:
        return NETWORKS[self.network].model

    @property
    def name(self) -> str:
        temperature = [] if self.temperature is None else [f"T{self.temperature:g}"]
        return "-".join([self.network, self.method, *temperature, f"seed{self.seed}"])

    @property
    def roles(self) -> tuple[str, ...]:
        return (EXTRACTED, schema.TEACHER) if self.is_mixture and self.on_segments else (schema.TEACHER,)

    @property
    def main_role(self) -> str:
        return schema.TEACHER

    @property
    def prerequisite(self) -> "SegmentTrial | None":
        """The pretraining that a fine-tuned network starts from."""
        return SegmentTrial(self.network, PRETRAINED, seed=self.seed) if self.method == FINETUNED else None

    @property
    def is_main(self) -> bool:
        """The two most expensive networks may have fewer seeds."""
        return self.network not in (MIX_LARGE, MOD)

    @property
    def reads(self) -> tuple:
        return (self.network, self.method)

    @property
    def work(self) -> tuple:
        """Sort key of the work: one seed after the other, and in each, pretraining before fine-tuning."""
        network = NETWORKS[self.network]
        return (self.seed, self.on_segments, -network.num_base * (1 + network.is_large), self.name)

    @property
    def paper_order(self) -> tuple:
        place = list(NETWORKS).index(self.network)
        return (self.family, place, METHODS.index(self.method), self.temperature or 0.0, self.seed)

    def with_seed(self, seed: int) -> "SegmentTrial":
        return dataclasses.replace(self, seed=seed)


AnyTrial: TypeAlias = Trial | SegmentTrial

"""Settings and recipe of mixtures of NeXtVLADs: Lin et al. 2019 (MOD) with its release.

The release trains its mixtures with T = 1 on videos and T = 20 on segments, and narrows the gates to a 16th.
"""

from typing import ClassVar, Literal

from youtube8m_distill.families.nextvlad.settings import NeXtVLADFields, NeXtVLADSettings
from youtube8m_distill.settings import MAX_REPEATS, require, setting, size


class MixtureFields(NeXtVLADFields):
    """The fields of a mixture of one level or of two."""

    source: ClassVar = "Lin et al. 2019 (MOD), release"
    training: ClassVar = {**NeXtVLADFields.training, "learning_rate_decay_examples": 2_500_000, "num_epochs": 15}
    fixed_classifier: ClassVar = "it mixes logits"
    is_mixture: ClassVar = True

    gating_reduction: int = size(16, "Factor by which the gate is narrower than the encoding.")
    mix_number: int = setting(3, "NeXtVLAD networks in a MixNeXtVladModel.", ge=2, le=MAX_REPEATS)
    cl_temperature: float = setting(
        1.0,
        "Temperature T of the distillation within a mixture, weighted by T squared; 0 turns it off. "
        "The paper fine-tunes with 20.",
        shapes_weights=False,
        ge=0.0,
    )
    stop_mixture_gradient: bool = setting(
        False, "Keep that distillation from moving the mixture toward its members.", shapes_weights=False
    )

    def check(self, features, classifier):
        super().check(features, classifier)
        reason = "has no effect with cl_temperature=0, which turns the distillation within the mixture off."
        require(not self.stop_mixture_gradient or self.cl_temperature, "stop_mixture_gradient", reason, True)

    @property
    def num_members(self) -> int:
        return self.mix_number

    def encoding_size(self, features):
        return self.num_members * self.member().encoding_size(features)

    def member(self):
        return self._as(NeXtVLADSettings)

    def _as(self, kind):
        """Settings of another family, with the values of the fields that both have."""
        return kind(**{name: getattr(self, name) for name in kind.model_fields if name != "model"})


class MixtureSettings(MixtureFields):
    """Several NeXtVLADs under one gate."""

    model: Literal["MixNeXtVladModel"] = "MixNeXtVladModel"


class MODSettings(MixtureFields):
    """Several mixtures of NeXtVLADs under one gate."""

    model: Literal["MODNeXtVladModel"] = "MODNeXtVladModel"
    mod_number: int = setting(4, "MixNeXtVladModels in a MODNeXtVladModel.", ge=2, le=MAX_REPEATS)

    @property
    def num_members(self) -> int:
        return self.mod_number

    def member(self):
        return self._as(MixtureSettings)

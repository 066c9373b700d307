"""Settings of the two classifiers, from an encoding to class probabilities. Imports neither TensorFlow nor Keras."""

from typing import TYPE_CHECKING, Any, Literal

from youtube8m_distill.settings import Settings, setting, size

if TYPE_CHECKING:
    from youtube8m_distill.layers.logistic import Logistic
    from youtube8m_distill.layers.moe import MixtureOfExperts


class LogisticSettings(Settings):
    """One sigmoid per class (the starter code's `LogisticModel`)."""

    model: Literal["LogisticModel"] = "LogisticModel"
    l2_penalty: float = setting(1e-8, "L2 penalty of LogisticModel's weights.", shapes_weights=False, ge=0.0)

    def build(self, num_classes: int, **options: Any) -> "Logistic":
        """The Keras layer. `options` are arguments of layers.logistic.Logistic."""
        from youtube8m_distill.layers.logistic import Logistic

        return Logistic(num_classes, self.l2_penalty, name="classifier", **options)


class MoeSettings(Settings):
    """A mixture of logistic experts per class (the starter code's `MoeModel`)."""

    model: Literal["MoeModel"] = "MoeModel"
    moe_num_mixtures: int = size(2, "Experts per class of MoeModel.")
    moe_l2: float = setting(1e-8, "L2 penalty of MoeModel's gates and experts.", shapes_weights=False, ge=0.0)
    moe_prob_gating: bool = setting(False, "Context gating of MoeModel's probabilities.")

    def build(self, num_classes: int, **options: Any) -> "MixtureOfExperts":
        """The Keras layer. `options` are arguments of layers.moe.MixtureOfExperts."""
        from youtube8m_distill.layers.moe import MixtureOfExperts

        return MixtureOfExperts(
            num_classes, self.moe_num_mixtures, self.moe_l2, self.moe_prob_gating, name="classifier", **options
        )


CLASSIFIERS = (LogisticSettings, MoeSettings)

"""Settings of the two classifiers, from an encoding to class probabilities. Imports neither TensorFlow nor Keras."""

from typing import Literal

from youtube8m_distill.settings import Settings, setting, size


class LogisticSettings(Settings):
    """One sigmoid per class (the starter code's `LogisticModel`)."""

    model: Literal["LogisticModel"] = "LogisticModel"
    l2_penalty: float = setting(1e-8, "L2 penalty of LogisticModel's weights.", shapes_weights=False, ge=0.0)


class MoeSettings(Settings):
    """A mixture of logistic experts per class (the starter code's `MoeModel`)."""

    model: Literal["MoeModel"] = "MoeModel"
    moe_num_mixtures: int = size(2, "Experts per class of MoeModel.")
    moe_l2: float = setting(1e-8, "L2 penalty of MoeModel's gates and experts.", shapes_weights=False, ge=0.0)
    moe_prob_gating: bool = setting(False, "Context gating of MoeModel's probabilities.")


CLASSIFIERS = (LogisticSettings, MoeSettings)

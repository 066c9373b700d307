"""NeXtVLAD's settings and recipe: Lin, Xiao, Fan 2018, best single model. Number of epochs: CVPR 2019, section 5.2."""

from typing import ClassVar, Literal

from youtube8m_distill.families.settings import FrameFamilySettings, check_halves, dropout_field
from youtube8m_distill.settings import require, setting, size


class NeXtVLADFields(FrameFamilySettings):
    """The fields of a NeXtVLAD, alone or as a member of a mixture."""

    source: ClassVar = "Lin et al. 2018, best single model; CVPR 2019, section 5"
    published_classifier: ClassVar = "LogisticModel"
    classifier_settings: ClassVar = {"l2_penalty": 1e-5}
    training: ClassVar = {
        "batch_size": 80,
        "base_learning_rate": 0.0002,
        "learning_rate_decay": 0.8,
        "learning_rate_decay_examples": 2_000_000,
        "regularization_penalty": 1.0,
    }

    nextvlad_cluster_size: int = size(128, "Clusters of rgb; audio has half as many.")
    nextvlad_hidden_size: int = size(2048, "Size of the encoding.")
    groups: int = size(8, "Groups of rgb; audio has half as many.")
    expansion: int = size(2, "Factor by which a frame is widened before it is cut into groups.")
    gating_reduction: int = size(8, "Factor by which the gate is narrower than the encoding.")
    reverse_whitening: bool = setting(
        False, "Reverse the whitening of the features' PCA instead of L2 normalization.", has_flag=False
    )
    dropout: float = dropout_field(0.5)

    def check(self, features, classifier):
        fits = not self.reverse_whitening or features.names[0] == "rgb"
        require(fits, "feature_names", "the PCA eigenvalues are those of rgb, which must come first.", features.names)
        check_halves(self, features, "nextvlad_cluster_size", "groups")
        for index, (name, stored) in enumerate(zip(features.names, features.sizes)):
            groups = self.groups if index == 0 else self.groups // 2
            wide = f"{self.expansion} * {stored} numbers of {name}"
            reason = f"{groups} groups do not divide the {wide}; change groups or expansion."
            require(self.expansion * stored % groups == 0, "groups", reason, self.groups)
        hidden, reduction = self.nextvlad_hidden_size, self.gating_reduction
        require(hidden % reduction == 0, "gating_reduction", f"must divide nextvlad_hidden_size={hidden}.", reduction)

    def encoding_size(self, features):
        return self.nextvlad_hidden_size

    def classifier_options(self, classifier):
        if classifier != "LogisticModel":
            return {}
        # The release regularizes the bias too, and uses one initializer everywhere.
        from youtube8m_distill.layers.initializers import variance_scaling

        return {"regularize_bias": True, "initializer": variance_scaling(self.nextvlad_hidden_size)}


class NeXtVLADSettings(NeXtVLADFields):
    """NetVLAD over groups of a widened frame, with attention."""

    model: Literal["NeXtVLADModel"] = "NeXtVLADModel"

    def build_encoder(self, features, dtype):
        from youtube8m_distill.families.nextvlad.encoder import NeXtVLAD

        return NeXtVLAD(
            features.sizes,
            self.nextvlad_cluster_size,
            self.nextvlad_hidden_size,
            groups=self.groups,
            expansion=self.expansion,
            gating_reduction=self.gating_reduction,
            dtype=dtype,
            name="nextvlad",
        )

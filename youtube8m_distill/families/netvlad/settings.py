"""NetVLAD's settings and recipe: Miech et al. 2017, best single model. Clusters, width, schedule: CVPR 2019, section 5.2."""

from typing import ClassVar, Literal

from youtube8m_distill.families.settings import FrameFamilySettings, check_halves
from youtube8m_distill.settings import require, setting, size


class NetVLADSettings(FrameFamilySettings):
    """Residuals from learned cluster centers, with context gating."""

    source: ClassVar = "Miech et al. 2017, best single model; CVPR 2019, section 5"
    classifier_settings: ClassVar = {"moe_l2": 1e-6, "moe_prob_gating": True}
    training: ClassVar = {
        "batch_size": 80,
        "base_learning_rate": 0.0002,
        "learning_rate_decay": 0.8,
        "regularization_penalty": 1.0,
    }
    model: Literal["NetVLADModelLF"] = "NetVLADModelLF"
    netvlad_cluster_size: int = size(256, "Clusters of rgb; audio has half as many.")
    netvlad_hidden_size: int = size(1024, "Size of the encoding.")
    netvlad_relu: bool = setting(False, "Batch normalization and relu6 on the hidden layer.")
    netvlad_add_batch_norm: bool = setting(True, "Batch normalization; otherwise biases.")
    gating: bool = setting(True, "Context gating of the encoding.")
    gating_remove_diag: bool = setting(False, "Gates without an entry's own weight.")
    lightvlad: bool = setting(False, "Sums instead of residuals from centers.")

    def check(self, features, classifier):
        check_halves(self, features, "netvlad_cluster_size")
        gated = self.gating or getattr(classifier, "moe_prob_gating", False)
        reason = "has no effect without gating or moe_prob_gating."
        require(gated or not self.gating_remove_diag, "gating_remove_diag", reason, True)

    def encoding_size(self, features):
        return self.netvlad_hidden_size

    def build_encoder(self, features, dtype):
        from youtube8m_distill.families.netvlad.encoder import NetVLAD

        return NetVLAD(
            features.sizes,
            self.netvlad_cluster_size,
            self.netvlad_hidden_size,
            relu=self.netvlad_relu,
            batch_norm=self.netvlad_add_batch_norm,
            gating=self.gating,
            gating_remove_diagonal=self.gating_remove_diag,
            subtract_centers=not self.lightvlad,
            dtype=dtype,
            name="netvlad",
        )

    def classifier_options(self, classifier):
        return {"remove_diagonal": self.gating_remove_diag} if classifier == "MoeModel" else {}

"""To which file format a network is exported, and how much its predictions may change."""

from typing import Literal

from youtube8m_distill.settings import Settings, require, setting

Format = Literal["saved_model", "litert", "onnx", "openvino"]
Quantization = Literal["none", "float16", "dynamic_int8", "full_int8"]

# Python packages besides TensorFlow that write a format or check it.
PACKAGES: dict[Format, tuple[str, ...]] = {
    "saved_model": (),
    "litert": ("ai_edge_litert",),
    "onnx": ("tf2onnx", "onnx", "onnxruntime"),
    "openvino": ("openvino", "scipy"),
}
# Largest differences of a prediction. Only the first two settings keep float32 numbers.
TOLERANCES = {"saved_model": 1e-5, "none": 1e-4, "float16": 0.01, "dynamic_int8": 0.05, "full_int8": 0.1}


class ExportConfig(Settings):
    """A file format, its quantization, and the tolerance of the check."""

    format: Format = setting(
        "saved_model", "saved_model for TensorFlow and TensorFlow Serving, litert for phones, onnx, or openvino."
    )
    quantization: Quantization = setting(
        "none",
        "Of litert: float16 and dynamic_int8 store weights in 2 bytes or 1; full_int8 also computes in 1 byte wherever "
        "LiteRT can, with ranges from --calibration_data_pattern.",
    )
    tolerance: float | None = setting(
        None,
        "Largest difference of a prediction from the trained network's; if it is exceeded, nothing is written. Default: "
        + ", ".join(f"{value:g} for {name}" for name, value in TOLERANCES.items())
        + ".",
        ge=0.0,
    )

    def model_post_init(self, context, /):
        reason = f"needs --format=litert; --format={self.format} keeps float32 weights."
        require(self.quantization == "none" or self.format == "litert", "quantization", reason, self.quantization)

    @property
    def limit(self) -> float:
        """The tolerance, or its default."""
        name = self.format if self.format in TOLERANCES else self.quantization
        return TOLERANCES[name] if self.tolerance is None else self.tolerance

    @property
    def is_calibrated(self) -> bool:
        """Whether the quantization needs videos to find the ranges of numbers."""
        return self.quantization == "full_int8"

"""Packaging of youtube8m_distill. The settings of ruff, pyright, pytest and coverage are in pyproject.toml."""

import pathlib
import re

from setuptools import find_packages, setup

ROOT = pathlib.Path(__file__).parent
VERSION = re.search(r'__version__ = "(.+)"', (ROOT / "youtube8m_distill" / "__init__.py").read_text())[1]

# Write, check, and run the formats of `yt8m export` other than SavedModel.
EXPORT = [
    "ai-edge-litert>=2.3",
    "tf2onnx>=1.17",
    "onnx>=1.23",
    "onnxruntime>=1.31",
    "openvino>=2026.4",
    "scipy>=1.11",  # Keras' exporter to OpenVINO imports it
    "google-crc32c>=1.5",  # `yt8m predict` of a LiteRT file
]
# Decode videos for `yt8m features`.
FEATURES = ["av>=18"]
S3 = ["s3fs>=2025.7"]
REPRODUCE = ["matplotlib>=3.8", "scikit-learn>=1.4", "jinja2>=3.1", "tabulate>=0.9"]
TEST = [
    "pytest>=8",
    "pytest-cov>=5",
    "pytest-xdist>=3.6",
    "hypothesis>=6.100",
    # Execute the notebooks in examples/.
    "nbclient>=0.10",
    "nbformat>=5.10",
    "ipykernel>=6.29",
    # A local S3 server. The extra `server` of moto would also install what other services need.
    "moto[s3]>=5.1",
    "flask>=3",
    "flask-cors>=5",
    *EXPORT,
    *FEATURES,
    *REPRODUCE,
    *S3,
]

setup(
    name="youtube8m_distill",
    version=VERSION,
    description="YouTube-8M in TensorFlow 2 / Keras 3: teachers that see every frame, students that see a few",
    long_description=(ROOT / "README.md").read_text(encoding="utf-8"),
    long_description_content_type="text/markdown",
    license="Apache-2.0",
    license_files=["LICENSE"],
    packages=find_packages(include=["youtube8m_distill", "youtube8m_distill.*"]),  # reproduce/ stays out of the wheel
    package_data={"youtube8m_distill": ["py.typed", "*.pyi", "data/*.csv"]},
    python_requires=">=3.11",
    install_requires=[
        "tensorflow>=2.16.2,<2.22",
        "keras>=3.15,<4",
        "tensorboard>=2.16",  # TensorFlow 2.21 no longer installs it
        "numpy>=1.26",
        "h5py>=3.11",
        "pandas>=2.2",
        "pydantic>=2.7",
        "filelock>=4.2",
        "lazy_loader>=0.4",
        "absl-py>=2.1",
        "tqdm>=4.66",
        "protobuf>=4.25",
        "pyyaml>=6",
    ],
    extras_require={
        # s3fs needs botocore, which does not work with python-dateutil 4.
        "s3": S3,
        # hdfs://, and s3:// without s3fs. tensorflow-io 0.37.1 is the last release, and TensorFlow 2.16.2 is the last
        # version that can load it. Neither has wheels for Python 3.13.
        "io": ["tensorflow==2.16.2", "tensorflow-io==0.37.1"],
        # The CUDA libraries that TensorFlow needs to see a GPU, for Linux.
        "gpu": ["tensorflow[and-cuda]>=2.16.2,<2.22"],
        "export": EXPORT,
        "features": FEATURES,
        # Needs older packages than constraints.txt pins, such as protobuf 6, so it has constraints of its own.
        "beam": ["apache-beam[tfrecord]>=2.77"],
        "reproduce": REPRODUCE,
        "test": TEST,
        "dev": [*TEST, "ruff>=0.6", "pyright[nodejs]>=1.1.414", "pre-commit>=4", "pip-audit>=2.7"],
        "docs": ["mkdocs-material>=9.5", "mkdocstrings[python]>=0.26"],
        "fuzz": ["atheris>=3"],
    },
    classifiers=[
        "Programming Language :: Python :: 3.11",
        "Programming Language :: Python :: 3.12",
        "Programming Language :: Python :: 3.13",
    ],
    entry_points={"console_scripts": ["yt8m = youtube8m_distill.cli.main:main"]},
)

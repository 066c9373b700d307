"""Packaging of youtube8m_distill."""

import pathlib
import re

from setuptools import find_packages, setup

ROOT = pathlib.Path(__file__).parent
VERSION = re.search(r'__version__ = "(.+)"', (ROOT / "youtube8m_distill" / "__init__.py").read_text())[1]
# Figures, t-SNE, the report's page and Markdown tables.
EXPERIMENTS = ["matplotlib>=3.8", "scikit-learn>=1.4", "jinja2>=3.1", "tabulate>=0.9"]

setup(
    name="youtube8m_distill",
    version=VERSION,
    description="YouTube-8M in TensorFlow 2 / Keras 3: teachers that see every frame, students that see a few",
    long_description=(ROOT / "README.md").read_text(encoding="utf-8"),
    long_description_content_type="text/markdown",
    license="Apache-2.0",
    license_files=["LICENSE"],
    packages=find_packages(include=["youtube8m_distill", "youtube8m_distill.*"]),
    python_requires=">=3.11",
    install_requires=[
        "tensorflow>=2.16.2,<2.22",
        "keras>=3.15,<4",
        "tensorboard>=2.16",        # TensorFlow 2.21 no longer brings it
        "numpy>=1.26",
        "h5py>=3.11",
        "pandas>=2.2",
        "absl-py>=2.1",
        "tqdm>=4.66",
    ],
    extras_require={
        # The last tensorflow-io loads under no later TensorFlow.
        "io": ["tensorflow==2.16.2", "tensorflow-io==0.37.1"],
        "experiments": EXPERIMENTS,
        "test": ["pytest>=8", "pytest-xdist>=3.6", "hypothesis>=6.100", *EXPERIMENTS],
        "dev": ["pytest>=8", "pytest-xdist>=3.6", "hypothesis>=6.100", "ruff>=0.6", "pip-audit>=2.7", *EXPERIMENTS],
        "fuzz": ["atheris>=3"],
    },
    classifiers=["Programming Language :: Python :: 3.11"],
    entry_points={"console_scripts": [
        "yt8m-train = youtube8m_distill.cli.train:run",
        "yt8m-eval = youtube8m_distill.cli.eval:run",
        "yt8m-inference = youtube8m_distill.cli.inference:run",
        "yt8m-extract = youtube8m_distill.cli.extract:run",
        "yt8m-compact = youtube8m_distill.cli.compact:run",
        "yt8m-synthesize = youtube8m_distill.cli.synthesize:run",
    ]},
)

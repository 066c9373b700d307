"""Tests of training compile many small graphs once each; optimising them takes longer than running them."""

import pytest
import tensorflow as tf


@pytest.fixture(autouse=True, scope="package")
def quick_compilation():
    tf.config.optimizer.set_experimental_options({"disable_meta_optimizer": True})
    yield
    tf.config.optimizer.set_experimental_options({"disable_meta_optimizer": False})

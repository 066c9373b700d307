"""What every test runs on: two logical CPUs, so that two replicas are tested without a GPU, and a quiet TensorFlow."""

import gc
import os

import hypothesis
import pytest

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # both before TensorFlow is imported
os.environ.setdefault("CUDA_VISIBLE_DEVICES", "-1")

# How long an example takes says more about the machine than about the code.
hypothesis.settings.register_profile("unhurried", deadline=None)
hypothesis.settings.load_profile("unhurried")


def pytest_configure(config):
    """Sets up TensorFlow, except in a process that only distributes tests: loading it takes seconds."""
    if hasattr(config, "workerinput") or not getattr(config.option, "numprocesses", None):
        import tensorflow as tf

        tf.config.set_logical_device_configuration(
            tf.config.list_physical_devices("CPU")[0], [tf.config.LogicalDeviceConfiguration()] * 2
        )
        # Tests compile many small graphs once each; optimizing them takes longer than running them.
        tf.config.optimizer.set_experimental_options({"disable_meta_optimizer": True})


def pytest_collection_finish():
    """Collects garbage rarely: TensorFlow's many live objects make it slow, a seventh of all test time."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(100_000, 50, 100)


def pytest_make_parametrize_id(config, val, argname):
    """Records by their argument's name: protocol buffers write maps in any order, and processes must agree on names."""
    return argname if isinstance(val, bytes) else None


@pytest.fixture(scope="session")
def s3_server():
    from tests.object_store import Server

    server = Server()
    yield server
    server.stop()


@pytest.fixture
def s3(s3_server, tmp_path, monkeypatch):
    """An S3 server, found by its address in the environment, and no copies of its files."""
    from tests.object_store import forget_servers, use

    use(s3_server, tmp_path / "copies", monkeypatch)
    yield s3_server
    forget_servers()


@pytest.fixture(scope="module")
def quick_hrnn():
    """In a whole module, an H-RNN has the encoder of `commands.use_quick_encoder`, also in fixtures of the module."""
    from tests import commands  # loads TensorFlow

    with pytest.MonkeyPatch.context() as patch:
        commands.use_quick_encoder(patch)
        yield

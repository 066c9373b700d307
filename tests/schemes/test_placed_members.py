"""Members of a mixture on devices of their own train as on one device, and what they compute stays on their devices."""

import keras
import pytest
import tensorflow as tf

from tests import mixtures, tiny_training
from youtube8m_distill import config
from youtube8m_distill.config import TrainingConfig
from youtube8m_distill.engine.optimizers import build_optimizer
from youtube8m_distill.engine.placement import bytes_per_device
from youtube8m_distill.engine.strategy import make_strategy
from youtube8m_distill.families.build import build_model
from youtube8m_distill.schemes.objectives import OnlineMixtureObjective, StudentTerms
from youtube8m_distill.schemes.parallel import ParallelDistiller
from youtube8m_distill.schemes.serial import SerialDistiller
from youtube8m_distill.schemes.supervised import Supervised

DEVICES = ("cpu:0", "cpu:1")
DATA = mixtures.with_an_empty_video(tiny_training.videos())
SETTINGS = {"clip_gradient_norm": 0.05, "regularization_penalty": 4e7}
SIZES = {"nextvlad_cluster_size": 4, "nextvlad_hidden_size": 4, "groups": 2, "gating_reduction": 2}
OBJECTIVE = OnlineMixtureObjective(3.0)


def next_vlads(model, role, devices, dropout=0.25):
    """A mixture of real NeXtVLADs, which takes long to compile."""
    view = config.FrameView(frame_selection="uniform", frames_per_video=6 if role == "teacher" else 3)
    settings = {"num_classes": tiny_training.NUM_CLASSES, "features": tiny_training.FEATURES, "view": view}
    described = config.network_config(model, dropout=dropout, **SIZES, **settings)
    return build_model(described, name=role, member_devices=devices)


def network(model, role, devices):
    """The mixture of this name or, by default, of quick networks with the given numbers of members."""
    return (
        next_vlads(model, role, devices)
        if isinstance(model, str)
        else mixtures.mixture(model, role, None, 0.25, devices=devices)
    )


def supervised(model, devices):
    return Supervised(network(model, "teacher", devices), "teacher", OBJECTIVE, **SETTINGS)


def serial(model, devices):
    student, teacher = (network(model, role, devices) for role in ("student", "teacher"))
    teacher.trainable = False
    terms = StudentTerms({"representation_loss": 1.0, "label_loss": 1.0}, objective=OBJECTIVE)
    return SerialDistiller(student, teacher, terms, **SETTINGS)


def parallel(model, devices):
    student, teacher = (network(model, role, devices) for role in ("student", "teacher"))
    terms = StudentTerms({"prediction_loss": 1.0, "label_loss": 1.0}, objective=OBJECTIVE)
    return ParallelDistiller(student, teacher, terms, OBJECTIVE, **SETTINGS)


def trained(make, model, devices, steps=4, optimizer="GradientDescentOptimizer", rate=0.2):
    """A scheme after a few steps as the command takes them, and its weights before them."""
    keras.utils.set_random_seed(1)
    scheme = make(model, devices)
    training = TrainingConfig(optimizer=optimizer, base_learning_rate=rate)
    scheme.compile(optimizer=build_optimizer(training, bool(devices)))
    scheme.optimizer.build(scheme.trainable_variables)
    before = tiny_training.weights(scheme)
    data = tiny_training.flat(DATA) if make is supervised else DATA
    tiny_training.train(scheme, data, make_strategy(num_gpu=0), steps)
    return scheme, before


CASES = {
    "one level": (supervised, mixtures.ONE_LEVEL),
    "two levels": (supervised, mixtures.TWO_LEVELS),
    "serial": (serial, mixtures.ONE_LEVEL),
    "parallel": (parallel, mixtures.ONE_LEVEL),
    "MixNeXtVladModel": (supervised, "MixNeXtVladModel"),
    "MODNeXtVladModel": (supervised, "MODNeXtVladModel"),
}


QUICK = ("one level", "serial")


@pytest.mark.parametrize("name", [pytest.param(name, marks=[pytest.mark.slow] * (name not in QUICK)) for name in CASES])
def test_placed_members_train_to_the_same_weights_as_on_one_device(name):
    make, model = CASES[name]
    (one, before), (spread, before_spread) = (trained(make, model, devices) for devices in ((), DEVICES))
    tiny_training.assert_same_weights(before_spread, before)
    tiny_training.assert_same_weights(tiny_training.weights(spread), tiny_training.weights(one), 1e-5, rounding=1e-6)
    assert all(tiny_training.differ(tiny_training.weights(spread)[:4], before[:4]))


@pytest.mark.slow
def test_adam_updates_placed_members_as_on_one_device():
    options = {"optimizer": "AdamOptimizer", "rate": 0.001}  # small, because Adam amplifies differences of rounding
    one, spread = (trained(supervised, mixtures.ONE_LEVEL, devices, **options)[0] for devices in ((), DEVICES))
    tiny_training.assert_same_weights(tiny_training.weights(spread), tiny_training.weights(one), 1e-4, rounding=1e-5)


def device(variable):
    return variable.value.device[-5:]


def test_weights_and_optimizer_of_a_member_are_on_its_device():
    scheme, _ = trained(supervised, mixtures.TWO_LEVELS, DEVICES, steps=1, optimizer="AdamOptimizer")
    mixture = scheme.networks["teacher"]
    for index, member in enumerate(mixture.members):
        assert {device(variable) for variable in member.variables} == {f"CPU:{index % 2}"}
    assert {device(variable) for variable in mixture.gate.variables} == {"CPU:0"}
    slots = scheme.optimizer.variables[-2 * len(scheme.trainable_variables) :]
    for number, variable in enumerate(scheme.trainable_variables):
        assert {device(slot) for slot in slots[2 * number : 2 * number + 2]} == {device(variable)}, variable.path


def operations(model, devices):
    """The operations of the graph of one training step."""
    scheme, _ = trained(supervised, model, devices, steps=1, optimizer="AdamOptimizer")
    batch = next(iter(tiny_training.batches(tiny_training.flat(DATA))))
    strategy = make_strategy(num_gpu=0)
    step = tf.function(lambda batch: strategy.run(scheme.train_step, (batch,)), autograph=False)
    return step.get_concrete_function(batch).graph, scheme


def test_no_weight_of_a_member_is_read_on_another_device():
    graph, scheme = operations(mixtures.ONE_LEVEL, DEVICES)
    held = {id(variable.value.handle): device(variable) for variable in [*scheme.variables, *scheme.optimizer.variables]}
    of_placeholder = {inner.name: held.get(id(outer), "CPU:0") for outer, inner in graph.captures}
    reads = [operation for operation in graph.get_operations() if operation.type == "ReadVariableOp"]
    on_second = [read for read in reads if of_placeholder[read.inputs[0].name] == "CPU:1"]
    assert len(on_second) > 10
    for read in on_second:
        for user in read.outputs[0].consumers():
            assert user.device.endswith("CPU:1"), (read.name, user.name, user.device)


def test_each_member_is_computed_on_its_device_forward_and_backward():
    graph, _ = operations(mixtures.ONE_LEVEL, DEVICES)
    products = [operation for operation in graph.get_operations() if operation.type in ("MatMul", "BatchMatMulV2")]
    first, second = (sum(operation.device.endswith(device) for operation in products) for device in ("CPU:0", "CPU:1"))
    of_gate = 3  # one forward, two backward
    assert second > 3 and first == 2 * second + of_gate  # two of the three members are on the first device


def test_bytes_per_device_count_each_variable_once():
    model = next_vlads("MixNeXtVladModel", "teacher", DEVICES)
    found = bytes_per_device(model.variables)
    assert found.keys() == {"CPU:0", "CPU:1"} and sum(found.values()) == sum(v.value.numpy().nbytes for v in model.variables)
    assert found["CPU:1"] == sum(variable.value.numpy().nbytes for variable in model.members[1].variables)


def test_a_network_that_is_not_a_mixture_ignores_member_devices():
    assert not next_vlads("NeXtVLADModel", "teacher", DEVICES).member_devices

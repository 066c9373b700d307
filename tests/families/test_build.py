import numpy as np
import pytest

from tests import networks
from youtube8m_distill import config
from youtube8m_distill.families import build
from youtube8m_distill.families.hrnn import encoder
from youtube8m_distill.layers import logistic, moe


def parameters(num_classes, **options):
    return build.count_weights(config.network_config(num_classes=num_classes, **options))


# Built with 2 classes; per class the classifier has 4096 * 5 weights and 2 biases.
def test_the_default_network_has_the_published_sizes_and_costs():
    teacher = config.network_config(num_classes=2)
    model = build.look_at(teacher, lambda model: model)
    encoder = sum(int(np.prod(weight.shape)) for weight in model.encoder.trainable_weights)
    assert encoder == 46_678_016
    per_class = sum(int(np.prod(weight.shape)) for weight in model.classifier.trainable_weights) / 2
    assert encoder + 3862 * per_class == 125_779_500
    assert encoder + 4716 * per_class == 143_271_128
    classifier = model.classifier.multiply_adds() // 2
    assert model.encoder.multiply_adds(300) + 3862 * classifier == 5_709_946_880
    assert [
        tuple(layer.cell.kernel.shape) for level in (model.encoder.lower, model.encoder.upper) for layer in level.layers
    ] == [(1152, 4096), (1024, 4096), (4096, 4096), (1024, 4096)]


def test_a_frame_of_rgb_has_the_published_cost():
    network = config.network_config(num_classes=2, features=config.FeatureConfig(names=("rgb",), sizes=(1024,)))
    # 2 * 2048 * 4096; the papers add 14 * 2048 for what is not a matrix product.
    cost = build.look_at(network, lambda model: model.encoder.lower.multiply_adds())
    assert cost + 14 * 2048 == 16_805_888


@pytest.mark.parametrize("num_classes, expected", [(3862, 125_779_500), (4716, 143_271_128)])
def test_the_default_network_has_the_published_number_of_parameters(num_classes, expected):
    assert parameters(num_classes) == expected


def test_the_student_on_30_frames_has_the_published_cost():
    student = config.network_config(num_classes=2, view=config.FrameView(frame_selection="uniform", frames_per_video=30))
    found = build.look_at(student, lambda model: (model.encoder.multiply_adds(30), model.classifier.multiply_adds()))
    assert found[0] + 3862 * (found[1] // 2) == 774_299_648


@pytest.mark.parametrize("name, kind", [("LogisticModel", logistic.Logistic), ("MoeModel", moe.MixtureOfExperts)])
def test_the_classifier_follows_from_its_name(name, kind):
    assert isinstance(networks.build(networks.frame_level(classifier=name)).classifier, kind)
    assert isinstance(networks.build(networks.video_level(name)).classifier, kind)


def test_settings_reach_the_layers():
    network = networks.frame_level(
        lstm_cells=3, lstm_layers=4, frames_per_block=2, moe_num_mixtures=3, dropout=0.125, dtype="float32", num_classes=6
    )
    model = build.build_model(network, name="student")
    assert isinstance(model.encoder, encoder.HierarchicalRNN)
    assert (model.encoder.lower.cells, model.encoder.upper.num_layers, model.encoder.frames_per_block) == (3, 4, 2)
    assert (model.classifier.num_mixtures, model.classifier.num_classes) == (3, 6)
    assert (model.dropout.rate, model.preprocessing.stored_dtype, model.feature_size) == (0.125, "float32", 9)
    assert model.name == "student"


def test_a_video_level_network_has_no_encoder_and_no_dropout():
    model = build.build_model(networks.video_level("MoeModel"))
    assert model.encoder is None and model.dropout.rate == 0.0


def test_weights_exist_after_building():
    assert len(build.build_model(networks.frame_level()).weights) == 2 * 2 * 3 + 3
    assert len(build.build_model(networks.video_level("LogisticModel")).weights) == 2


@pytest.mark.parametrize("dtype, computes", [("float32", "float32"), ("mixed_bfloat16", "bfloat16")])
def test_precision_applies_to_every_layer_except_the_classifier(dtype, computes):
    model = build.build_model(networks.frame_level(), dtype)
    layers = [model.preprocessing, model.encoder, model.encoder.lower, *model.encoder.upper.layers, model.dropout]
    assert {layer.compute_dtype for layer in layers} == {computes}
    assert model.classifier.compute_dtype == "float32"

import keras
import numpy as np
import pytest

from tests import oracles
from youtube8m_distill import config
from youtube8m_distill.errors import SettingError
from youtube8m_distill.families.build import look_at
from youtube8m_distill.families.skip_frame.encoder import SkipFrame
from youtube8m_distill.families.skip_frame.settings import SkipFrameSettings

SIZE, BUDGET, SKIPS = 9, 4, (1, 2, 4)
COUNTS = np.array([12, 5, 2, 1, 0])
FRAMES = np.random.default_rng(0).normal(size=(5, 12, SIZE)).astype(np.float32)


def encoder(**options):
    layer = SkipFrame(3, 2, BUDGET, SKIPS, **options)
    layer.build((None, None, SIZE))
    random = np.random.default_rng(1)
    layer.set_weights([random.normal(0, 0.7, weight.shape) for weight in layer.weights])
    return layer


def expected(layer, row, noise=None):
    """The oracle's states, indices and decisions of one video."""
    layers = [[np.asarray(values, np.float64) for values in lstm.get_weights()] for lstm in layer.stack.layers]
    policy = layer.policy.kernel.numpy().astype(np.float64)
    return oracles.skip_frame(layers, policy, SKIPS, BUDGET, FRAMES[row].astype(np.float64), COUNTS[row], noise)


@pytest.mark.parametrize("training", [False, True])
def test_frames_states_and_decisions_equal_the_oracle(training):
    layer, drawn = encoder(scores_each_frame=True), []
    draw = layer._noise

    def remember(batch_size):
        drawn.append(draw(batch_size))
        return drawn[-1]

    layer._noise = remember
    encoding, found = layer.pool_with_decisions(FRAMES, keras.ops.convert_to_tensor(COUNTS, "int32"), training)
    assert len(drawn) == training
    paths = set()
    for row in range(len(COUNTS)):
        states, indices, decisions = expected(layer, row, np.asarray(drawn[0][row]) if training else None)
        np.testing.assert_allclose(found["states"][row], states, rtol=1e-4, atol=1e-5)
        np.testing.assert_allclose(encoding[row], states[-1], rtol=1e-4, atol=1e-5)
        read = [int(index) for index in found["frame_indices"][row] if index >= 0]
        assert read == indices and len(read) <= BUDGET
        for step, (log_probabilities, action, is_made) in enumerate(decisions):
            assert bool(found["is_made"][row, step]) == is_made
            if is_made:
                np.testing.assert_allclose(found["log_probability"][row, step], log_probabilities[action], rtol=1e-4)
                entropy = -np.exp(log_probabilities) @ log_probabilities
                np.testing.assert_allclose(found["entropy"][row, step], entropy, rtol=1e-4)
        paths.add(tuple(read))
    assert len(paths) >= 4


def test_training_draws_actions_from_the_policy_and_evaluation_takes_the_likeliest():
    layer, count = encoder(), 4000
    frames, counts = np.repeat(FRAMES[:1], count, axis=0), np.full(count, 12)
    logits = expected(layer, 0)[0][0] @ layer.policy.kernel.numpy()
    second = layer.pool_with_decisions(frames, keras.ops.convert_to_tensor(counts, "int32"), True)[1]["frame_indices"][:, 1]
    shares = [np.mean(np.asarray(second) == skip) for skip in SKIPS]
    np.testing.assert_allclose(shares, oracles.softmax(logits), atol=0.03)
    best = layer.pool_with_decisions(frames[:2], keras.ops.convert_to_tensor(counts[:2], "int32"))[1]["frame_indices"][:, 1]
    assert set(np.asarray(best).tolist()) == {SKIPS[int(np.argmax(logits))]}


def test_draws_differ_between_steps_and_repeat_with_the_seed():
    def draws():
        keras.utils.set_random_seed(3)
        layer = encoder()
        return [np.asarray(layer._noise(2)) for _ in range(2)]

    (first, second), again = draws(), draws()
    assert not np.array_equal(first, second)
    np.testing.assert_array_equal(first, again[0])
    np.testing.assert_array_equal(second, again[1])


@pytest.mark.parametrize(
    "actions, skips",
    [("5-25", tuple(range(5, 25))), ("alt-5-25", (5, 7, 9, 11, 13, 15, 17, 19, 21, 23)), ("1-3", (1, 2)), ("5-6", (5,))],
)
def test_actions_in_words_are_skips(actions, skips):
    assert SkipFrameSettings(skip_actions=actions).skips == skips


@pytest.mark.parametrize("actions", ["", "5", "0-4", "5-5", "7-5", "every-5-25", "5-25 ", "5-99999", "-1-4"])
def test_actions_without_skips_are_refused(actions):
    with pytest.raises(SettingError, match="^skip_actions"):
        config.network_config("SkipFrameModel", skip_actions=actions)


def test_a_decision_costs_81920_multiply_adds_at_the_published_size():
    def of_policy(network):
        encoder, read = network.encoder, {300: 10, 6: 2, 5: 1, 0: 0}
        return [encoder.multiply_adds(frames) - encoder.stack.multiply_adds(count) for frames, count in read.items()]

    assert look_at(config.network_config("SkipFrameModel"), of_policy) == [9 * 81_920, 81_920, 0, 0]


@pytest.mark.parametrize("terms, is_refused", [(("rep", "pred"), True), (("pred", "ce"), False)])
def test_a_student_without_the_label_loss_is_refused(terms, is_refused):
    networks = {role: config.network_config("SkipFrameModel") for role in ("teacher", "student")}
    settings = {"mode": "serial", "networks": networks, "training": config.TrainingConfig()}
    distillation = config.DistillationConfig(student_loss=terms)
    if not is_refused:
        assert config.RunConfig(distillation=distillation, **settings)
        return
    with pytest.raises(SettingError, match="^student_loss=rep,pred: trains no policy of SkipFrameModel: .* Add ce"):
        config.RunConfig(distillation=distillation, **settings)

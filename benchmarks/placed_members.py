"""Memory per device of mixtures at their published size, with `--place_members` and without.

    python benchmarks/placed_members.py [--models=MixNeXtVladModel,MODNeXtVladModel] [--devices=4]

Counts the variables that are really on each device: weights and Adam's two numbers per weight. Logical CPU devices stand in
for GPUs. A MOD takes 13 GB of memory in all, and each case runs in its own process.
"""

import json
import os
import subprocess
import sys

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # before TensorFlow is imported

from absl import app, flags

from youtube8m_distill import config

MODELS = flags.DEFINE_list("models", ["MixNeXtVladModel", "MODNeXtVladModel"], "Mixtures to build, values of --model.")
DEVICES = flags.DEFINE_integer("devices", 4, "Devices over which members are spread.", 2)
NUM_CLASSES = flags.DEFINE_integer("num_classes", 3862, "Number of classes.", 1)
ALONE = flags.DEFINE_string("alone", None, "Build this mixture in this process and print the bytes as JSON.")


def main(_):
    if ALONE.value:
        print(json.dumps(bytes_of_each_device(ALONE.value)))
        return
    print("| model | GB on each device: weights and Adam | GB in all |")
    print("|---|---|---|")
    for model in MODELS.value:
        arguments = [f"--alone={model}", f"--devices={DEVICES.value}", f"--num_classes={NUM_CLASSES.value}"]
        ran = subprocess.run([sys.executable, __file__, *arguments], capture_output=True, text=True, check=True)
        held = json.loads(ran.stdout.splitlines()[-1])
        print(f"| {model} | {', '.join(f'{count / 1e9:.2f}' for count in held.values())} | {sum(held.values()) / 1e9:.2f} |")


def bytes_of_each_device(model):
    import tensorflow as tf

    from youtube8m_distill.engine.optimizers import build_optimizer
    from youtube8m_distill.engine.placement import bytes_per_device
    from youtube8m_distill.families.build import build_model

    cpu, one = tf.config.list_physical_devices("CPU")[0], tf.config.LogicalDeviceConfiguration()
    tf.config.set_logical_device_configuration(cpu, [one] * DEVICES.value)
    devices = [f"cpu:{index}" for index in range(DEVICES.value)]
    network = build_model(config.network_config(model, NUM_CLASSES.value), member_devices=devices)
    optimizer = build_optimizer(config.TrainingConfig(), on_devices_of_variables=True)
    optimizer.build(network.trainable_variables)
    return bytes_per_device([*network.variables, *optimizer.variables])


if __name__ == "__main__":
    app.run(main)

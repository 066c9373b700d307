"""Accuracy and cost of every network family on one synthetic data set: teacher, baselines, and students.

    python benchmarks/families.py [--output_dir=families] [--models=NetVLADModelLF,...]

Baselines and students read 30 and 10 frames. Networks and data set are small; everything else is as with real data. Each
line of the table is one training. It is scored on held-out videos, and predictions for the test files are written. Finished
trainings in --output_dir are not repeated.
"""

import pathlib

import pandas as pd
from absl import app, flags

import accuracy

OUTPUT_DIR = flags.DEFINE_string("output_dir", "families", "Folder for the data set and all runs.")
FAMILIES = {
    "HierarchicalLstmModel": {"lstm_cells": 64},
    "NetVLADModelLF": {"netvlad_cluster_size": 16, "netvlad_hidden_size": 64},
    "NeXtVLADModel": accuracy.NEXTVLAD,
    "MixNeXtVladModel": accuracy.NEXTVLAD,
    "DbofModel": {"dbof_cluster_size": 256, "dbof_hidden_size": 64},
    "LstmModel": {"lstm_cells": 64, "num_epochs": 1},
    "FrameLevelLogisticModel": {},
    # These are twelve networks. A few steps only show that every command works.
    "MODNeXtVladModel": {**accuracy.NEXTVLAD, "nextvlad_cluster_size": 8, "nextvlad_hidden_size": 32, "max_steps": 20},
}
TRAINING_FLAGS = ("num_epochs", "max_steps", "mixed_precision")
MODELS = flags.DEFINE_list("models", list(FAMILIES), "Families to train.")


def main(_):
    folder = pathlib.Path(OUTPUT_DIR.value)
    accuracy.write_sample(folder)
    table = pd.DataFrame([record for model in MODELS.value for record in family(folder, model)])
    table.to_csv(folder / "families.csv", index=False)
    print("\n" + table.to_string(index=False, float_format="{:.4f}".format))


def family(folder, model):
    """Trains and scores the networks of one family. Yields a record for each."""
    training = {name: value for name, value in FAMILIES[model].items() if name in TRAINING_FLAGS}
    network = {"model": model, "num_classes": accuracy.SAMPLE["num_classes"], **FAMILIES[model]}
    teacher = folder / "runs" / model / "teacher"
    serial = {"mode": "serial", "teacher_dir": teacher, **training}
    for name, options in {
        "teacher": network,
        "uniform 30": {**network, "frames_per_video": 30},
        "uniform 10": {**network, "frames_per_video": 10},
        "serial 30": {**serial, "frames_per_video": 30},
        "serial 10": {**serial, "frames_per_video": 10},
    }.items():
        run = teacher.with_name(name.replace(" ", "_"))
        yield {"model": model, "network": name, **accuracy.train_and_score(folder, run, **options)}


if __name__ == "__main__":
    app.run(main)

"""Online mixtures on one synthetic data set: temperatures, extracted networks, and mixtures as teachers.

    python benchmarks/online_mixture.py [--output_dir=families] [--seeds=1]

The first part compares MixNeXtVladModel on 30 frames without online distillation (T = 0) and with it (T = 1, 20), the first
network extracted from each mixture, and a NeXtVLADModel. The second part compares students of 10 frames that learn from a
NeXtVLADModel or a MixNeXtVladModel on all frames, and baselines without a teacher. Scores are computed on whole videos, as
the mean and standard deviation over seeds of weights, data order, and dropout. (The paper's table for T shows MAP@K over
segments.)

Finished trainings in --output_dir are not repeated.
"""

import pathlib

import pandas as pd
from absl import app, flags

import accuracy

OUTPUT_DIR = flags.DEFINE_string("output_dir", "families", "Folder for the data set and all runs.")
SEEDS = flags.DEFINE_integer("seeds", 1, "Number of seeds of each training. Teachers have one.", 1)
# Both have the same gate width. In published mixtures, it is half as large, which would be too small for this small layer.
SINGLE, MIXTURE = (
    {"model": model, "num_classes": accuracy.SAMPLE["num_classes"], **accuracy.NEXTVLAD, "gating_reduction": 8}
    for model in ("NeXtVLADModel", "MixNeXtVladModel")
)


def main(_):
    folder = pathlib.Path(OUTPUT_DIR.value)
    accuracy.write_sample(folder)
    records = []
    for seed in range(SEEDS.value):
        records += list(temperatures(folder, seed)) + list(students(folder, seed))
        table = pd.DataFrame(records)
        table.to_csv(folder / "online_mixture.csv", index=False)
    rows = table.groupby(["part", "network"], sort=False)[list(accuracy.SCORES.values())].agg(["mean", "std"])
    print("\n" + rows.to_string(float_format="{:.4f}".format))


def temperatures(folder, seed):
    """Trains a mixture at each temperature, extracts its first network, and trains a network alone."""
    part, place, see = "30 frames", folder / "runs" / "temperature", {"frames_per_video": 30, "seed": seed}
    alone = place / f"alone_seed{seed}"
    yield {"part": part, "network": "NeXtVLAD", **accuracy.train_and_score(folder, alone, **SINGLE, **see)}
    for temperature in (0, 1, 20):
        run = place / f"T{temperature}_seed{seed}"
        scores = accuracy.train_and_score(folder, run, **MIXTURE, **see, cl_temperature=temperature)
        yield {"part": part, "network": f"MixNeXtVLAD, T={temperature}", **scores}
        member = run.with_name(f"{run.name}_member0")
        if not member.is_dir():
            accuracy.command("extract", train_dir=run, submodel=0, output_dir=member)
        yield {"part": part, "network": f"its network 0, T={temperature}", **accuracy.score(folder, member)}


def students(folder, seed):
    """Trains students of 10 frames with a single network or a mixture as teacher, and baselines."""
    part, place = "10 frames", folder / "runs" / "mixture_as_teacher"
    teachers = {"NeXtVLAD": place / "NeXtVLAD_teacher", "MixNeXtVLAD": place / "MixNeXtVLAD_teacher"}
    for (name, run), network in zip(teachers.items(), (SINGLE, MIXTURE)):
        yield {"part": "all frames", "network": name, **accuracy.train_and_score(folder, run, **network)}
    see = {"frames_per_video": 10, "seed": seed}
    serial = {"mode": "serial", "mixed_precision": True, "num_epochs": accuracy.NEXTVLAD["num_epochs"], **see}
    by_predictions = {**serial, "student_loss": "pred,ce", "share_classifier": False}
    runs = {
        "NeXtVLAD, no teacher": {**SINGLE, **see},
        "NeXtVLAD, taught by NeXtVLAD": {**by_predictions, "teacher_dir": teachers["NeXtVLAD"]},
        "NeXtVLAD, taught by MixNeXtVLAD": {
            **by_predictions,
            "teacher_dir": teachers["MixNeXtVLAD"],
            "student_model": "NeXtVLADModel",
        },
        "MixNeXtVLAD, no teacher": {**MIXTURE, **see},
        "MixNeXtVLAD, taught by MixNeXtVLAD": {**serial, "teacher_dir": teachers["MixNeXtVLAD"]},
    }
    for name, options in runs.items():
        run = place / f"{name.replace(', ', '_').replace(' ', '_')}_seed{seed}"
        yield {"part": part, "network": name, **accuracy.train_and_score(folder, run, **options)}


if __name__ == "__main__":
    app.run(main)

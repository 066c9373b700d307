"""Online mixtures on one synthetic data set: the temperature, one member, and a mixture as teacher.

    python benchmarks/online_mixture.py [--output_dir=families] [--seeds=1]

First, MixNeXtVladModel on 30 frames without distillation between its networks (T = 0) and with it (T = 1, 20), the first
network extracted from each mixture, and one NeXtVLADModel. Then students of 10 frames that learn from a NeXtVLADModel or a
MixNeXtVladModel on all frames, and baselines without a teacher. Scores are GAP over whole videos, mean and
standard deviation over seeds of weights, data order and dropout. (The paper's table of T is MAP@K over segments.)

Finished trainings in --output_dir are not repeated.
"""

import pathlib

import pandas as pd
from absl import app, flags

import road

OUTPUT_DIR = flags.DEFINE_string("output_dir", "families", "Folder for the data set and all runs.")
SEEDS = flags.DEFINE_integer("seeds", 1, "Number of seeds of each training; teachers have one.", 1)
# The same gate width for both. The published mixtures halve it, which would leave little of such a small layer.
SINGLE, MIXTURE = (
    {"model": model, "num_classes": road.SAMPLE["num_classes"], **road.NEXTVLAD, "gating_reduction": 8}
    for model in ("NeXtVLADModel", "MixNeXtVladModel")
)


def main(_):
    folder = pathlib.Path(OUTPUT_DIR.value)
    road.write_sample(folder)
    records = []
    for seed in range(SEEDS.value):
        records += list(temperatures(folder, seed)) + list(students(folder, seed))
        table = pd.DataFrame(records)
        table.to_csv(folder / "online_mixture.csv", index=False)
    rows = table.groupby(["part", "network"], sort=False)[list(road.SCORES.values())].agg(["mean", "std"])
    print("\n" + rows.to_string(float_format="{:.4f}".format))


def temperatures(folder, seed):
    """A mixture at each temperature, its first network, and a network trained alone."""
    part, place, see = "30 frames", folder / "runs" / "temperature", {"frames_per_video": 30, "seed": seed}
    alone = place / f"alone_seed{seed}"
    yield {"part": part, "network": "NeXtVLAD", **road.train_and_score(folder, alone, **SINGLE, **see)}
    for temperature in (0, 1, 20):
        run = place / f"T{temperature}_seed{seed}"
        scores = road.train_and_score(folder, run, **MIXTURE, **see, cl_temperature=temperature)
        yield {"part": part, "network": f"MixNeXtVLAD, T={temperature}", **scores}
        member = run.with_name(f"{run.name}_member0")
        if not member.is_dir():
            road.command("extract", train_dir=run, submodel=0, output_dir=member)
        yield {"part": part, "network": f"its network 0, T={temperature}", **road.score(folder, member)}


def students(folder, seed):
    """Students of 10 frames with a single network or a mixture as teacher, and baselines."""
    part, place = "10 frames", folder / "runs" / "mixture_as_teacher"
    teachers = {"NeXtVLAD": place / "NeXtVLAD_teacher", "MixNeXtVLAD": place / "MixNeXtVLAD_teacher"}
    for (name, run), network in zip(teachers.items(), (SINGLE, MIXTURE)):
        yield {"part": "all frames", "network": name, **road.train_and_score(folder, run, **network)}
    see = {"frames_per_video": 10, "seed": seed}
    serial = {"mode": "serial", "mixed_precision": True, "num_epochs": road.NEXTVLAD["num_epochs"], **see}
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
        yield {"part": part, "network": name, **road.train_and_score(folder, run, **options)}


if __name__ == "__main__":
    app.run(main)

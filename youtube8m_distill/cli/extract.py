"""Takes one network out of a trained mixture, as a training directory of its own.

    python -m youtube8m_distill.cli.extract --train_dir=runs/mixture --submodel=0 --output_dir=runs/nextvlad_distill

What comes out is what eval.py, inference.py, --teacher_dir and --init_from take.
"""

from absl import flags

from youtube8m_distill import files, runs, schema
from youtube8m_distill.cli import entry
from youtube8m_distill.cli import flags as our_flags
from youtube8m_distill.errors import SettingError

FLAGS = flags.FLAGS


def define_flags():
    our_flags.define_files(
        "Mixture",
        ("train_dir", "Training directory of the mixture."),
        (
            "submodel",
            "Which of its networks, counted from 0: 2 is member 2; in a MODNeXtVladModel that is a mixture of "
            "three, and 2.0 is its member 0.",
        ),
    )
    flags.DEFINE_enum(
        "network", None, [schema.TEACHER, schema.STUDENT], "Which network of the run; the student where there is one."
    )
    flags.DEFINE_string("checkpoint", "best", "best, last, or a step.")
    our_flags.GROUPS["Mixture"] += ["network", "checkpoint"]
    our_flags.define_files("Output", ("output_dir", "The new training directory."))


def main():
    with entry.user_errors():
        for name in ("train_dir", "submodel", "output_dir"):
            if not FLAGS[name].value:
                raise SettingError(name, "is missing; see --helpshort.")
        files.check_output("output_dir", FLAGS.output_dir, folder=True)
        run = runs.open_run(FLAGS.train_dir)
        taken = runs.extract(run, FLAGS.submodel, FLAGS.output_dir, FLAGS.network, FLAGS.checkpoint)
    network = taken.config.networks[schema.TEACHER]
    print(f"{taken.folder} holds network {FLAGS.submodel} of the mixture in {run.folder}, a {network.model}.")


def run():
    define_flags()
    entry.run(main, __doc__)


if __name__ == "__main__":
    run()

"""Takes one network out of a trained mixture."""

from youtube8m_distill import runs, schema
from youtube8m_distill.cli import entry
from youtube8m_distill.cli.flags import FLAGS


def main():
    with entry.user_errors():
        run = runs.open_run(FLAGS.train_dir)
        extracted = runs.extract(run, FLAGS.submodel, FLAGS.output_dir, FLAGS.network, FLAGS.checkpoint)
    model = extracted.config.networks[schema.TEACHER].model
    print(f"{extracted.folder} holds network {FLAGS.submodel} of the mixture in {run.folder}, a {model}.")

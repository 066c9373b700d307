"""Writes a trained network as a folder or an archive to share, with a model card."""

from youtube8m_distill import runs
from youtube8m_distill.cli import entry
from youtube8m_distill.cli.flags import FLAGS
from youtube8m_distill.cli.values import vocabulary, warn_of_unnamed


def main():
    with entry.user_errors():
        run = runs.open_run(FLAGS.train_dir)
        path = FLAGS.output_model_tgz or FLAGS.output_dir
        options = {"license": FLAGS.license, "data": FLAGS.data_name, "metrics_files": FLAGS.metrics_files or ()}
        as_archive, names = bool(FLAGS.output_model_tgz), vocabulary(run.folder)
        warn_of_unnamed(names, run.config.networks[run.config.main_role].num_classes)
        progress = runs.package_run(run, path, FLAGS.checkpoint, names, as_archive=as_archive, **options)
    print(f"Written to {path}: the {run.config.title(run.config.main_role)} of step {progress.step}, with README.md.")

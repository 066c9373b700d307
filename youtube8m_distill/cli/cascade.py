"""Builds a cascade of trained networks: easy videos are answered by a cheap one, hard ones by an expensive one."""

import logging
import os

from youtube8m_distill import runs
from youtube8m_distill.cli import entry
from youtube8m_distill.cli.flags import FLAGS
from youtube8m_distill.cli.values import exclusions, reading_of, settings_given
from youtube8m_distill.config import CascadeOptions
from youtube8m_distill.data.find_files import matching_paths, real_path
from youtube8m_distill.data.labels import check_labels
from youtube8m_distill.engine.cluster import refuse_cluster
from youtube8m_distill.engine.strategy import make_strategy
from youtube8m_distill.runs import cascade_building as building
from youtube8m_distill.runs.cascade_observation import load_networks, observe
from youtube8m_distill.settings import require

log = logging.getLogger(__name__)


def main():
    with entry.user_errors():
        refuse_cluster(os.environ)
        options = settings_given(CascadeOptions)
        runs.check_cascade_folder(FLAGS.output_dir)
        with entry.about("train_dirs"):
            trained = [runs.open_run(folder.strip()) for folder in FLAGS.train_dirs]
        building.check_runs(trained)
        reading = reading_of(trained[0].config.reading)
        shards = find_shards(trained, reading)
        networks = load_networks(trained, make_strategy(FLAGS.num_gpu), reading, options)
        building.check_order(networks)
        observed = observe(networks, shards, FLAGS.batch_size)
        names, pattern = [str(run.folder) for run in trained], FLAGS.validation_data_pattern
        plan = building.plan_cascade(names, observed, options)
        cascade = building.write_plan(FLAGS.output_dir, plan, networks, shards, options, pattern)
    print("\n".join(report(cascade, names)))


def find_shards(trained, reading):
    """The files in --validation_data_pattern; SettingError if a network was trained on one of them."""
    flag, pattern = "validation_data_pattern", FLAGS.validation_data_pattern
    configs = [run.config.networks[run.config.main_role] for run in trained]
    num_classes = configs[0].num_classes
    shards = runs.find_shards(flag, pattern, configs[0].features, configs, exclusions(), reading, num_classes)
    check_labels(flag, pattern, shards, reading.label_key, num_classes)
    for run in trained:
        both = {real_path(shard.path) for shard in shards} & training_paths(run.config.train_data_pattern)
        reason = (
            f"contains {len(both)} training file(s) of {run.folder}, for example {min(both, default='')}. A network is too "
            "sure of videos that it was trained on; choose thresholds on others."
        )
        require(not both, flag, reason, pattern)
    return shards


def training_paths(pattern):
    """The real paths of the files that a run was trained on, as far as they can be found from here."""
    try:
        return set(matching_paths(pattern)) if pattern else set()
    except (OSError, ValueError) as error:
        log.warning(
            "Whether a network was trained on the validation files is unknown: %s cannot be read (%s).", pattern, error
        )
        return set()


def report(cascade, names):
    """What was chosen and what it gives, in lines."""
    settings, chosen, last = cascade.settings, cascade.settings.chosen, cascade.settings.stages[-1]
    share = chosen.mean_multiply_adds / last.mean_multiply_adds
    lines = [f"Cascade of {len(names)} networks, thresholds chosen on {settings.num_videos:,} videos:"]
    for name, stage, videos in zip(names, settings.stages, chosen.videos):
        sure = "none is sure enough" if stage.threshold is None else f"confidence from {stage.threshold:.4f}"
        threshold = "all that reach it" if stage is last else sure
        lines.append(
            f"  {name}: answers {videos / settings.num_videos:6.1%} ({threshold}); alone GAP@20 {stage.gap:.4f}, "
            f"{stage.mean_frames:.1f} frames, {stage.mean_multiply_adds / 1e6:,.2f} M multiply-adds"
        )
    lines.append(
        f"  together: GAP@20 {chosen.gap:.4f} ({chosen.gap - last.gap:+.4f}), {chosen.mean_frames:.1f} frames and "
        f"{chosen.mean_multiply_adds / 1e6:,.2f} M multiply-adds per video, {share:.1%} of the last network's"
    )
    idle = [name for name, videos in zip(names[:-1], chosen.videos) if not videos]
    if len(idle) == len(names) - 1:
        lines.append(
            "No network but the last answers any video: no cheaper choice keeps GAP@20 within "
            f"{settings.options.max_gap_loss:g} of its own. Use {names[-1]} alone, or allow a larger --max_gap_loss."
        )
    elif idle:
        lines.append(f"Answers no video: {', '.join(idle)}. Without it, the cascade costs less.")
    if idle and any(stage.c for stage in settings.stages):
        lines.append("Networks that answer no video still count in the answers of later ones: without them, GAP@20 changes.")
    if share >= 1 and len(idle) < len(names) - 1:
        lines.append("The cascade costs as much as its last network alone, or more: use that, or other runs.")
    best = max(settings.stages, key=lambda stage: stage.gap)
    if best.gap > last.gap:
        name = names[settings.stages.index(best)]
        lines.append(f"{name} alone has a higher GAP@20 than the last network. Try without the networks after it.")
    *programs, last_program = (f"`{entry.program(name)}`" for name in ("eval", "infer", "predict", "beam"))
    takers = f"{', '.join(programs)}, and {last_program}"
    return [*lines, f"Written to {cascade.folder}; {takers} take it as --train_dir."]

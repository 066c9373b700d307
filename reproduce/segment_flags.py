"""The flags of the trials on segments, besides those that all trials have."""

from youtube8m_distill.cli.flags import Flag

SEGMENT_FLAGS = {
    "finetune_data_pattern": Flag(
        "Globs of the files whose rated segments are trained on. With --data, the first half of the validate files. The "
        "other half is --eval_data_pattern, whose rated segments are scored."
    ),
    "finetune_batch_size": Flag("Segments per training step. Default: 512.", int, at_least=1),
    "finetune_learning_rate": Flag("Initial learning rate on segments. Default: 0.0002.", float),
    "finetune_dropout": Flag("Dropout on segments; --dropout is that on videos. Default: 0.75.", float),
    "finetune_l2_penalty": Flag("L2 penalty on segments; --l2_penalty is that on videos. Default: 0.0001.", float),
}
# Flag -> name in SegmentSettings.finetuning.
SETTING_OF = {
    "finetune_epochs": "num_epochs",
    "finetune_batch_size": "batch_size",
    "finetune_learning_rate": "base_learning_rate",
    "finetune_dropout": "dropout",
    "finetune_l2_penalty": "l2_penalty",
}

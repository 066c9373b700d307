"""Facts of the YouTube-8M files and of our batches: names, sizes, numbers. No code of ours is imported here.

A frame-level batch for one network is a dict

    frames         uint8 (or float32) [batch, T, sum of feature sizes]   rgb first, then audio
    num_frames     int32 [batch]       how many of the T rows are real; the rest are zero padding
    frame_indices  int32 [batch, T]    which frame of the video each row is; -1 in padding

to which are added

    labels             uint8 [batch, num_classes]   multi-hot
    num_stored_frames  int32 [batch]                how many frames the record holds, those past MAX_FRAMES too
    targets            float16 [batch, numbers]     what is stored beside each record, where something is
    epoch              int32 [batch]                in training
    position           int64 [batch, 3]             in training: where the records go on (data.training_order)
    video_id           string [batch]               where nothing trains, with the two below
    shard, record      int32, int64 [batch]         which of the files, and which of its records

For distillation the dict is nested by role: `{"teacher": {...}, "student": {...}, "labels": ..., "epoch": ...}`. A
video-level batch holds `features` (float32 [batch, sum of feature sizes]) in place of everything about frames.
"""

MAX_FRAMES = 300                    # the starter code reads no frame past this one (one frame a second)

ID_KEYS = ("id", "video_id")        # 2018 and later; 2017 and earlier
LABELS_KEY = "labels"

FRAME_FEATURES = ("rgb", "audio")
VIDEO_FEATURES = ("mean_rgb", "mean_audio")
FEATURE_SIZES = {"rgb": 1024, "audio": 128, "mean_rgb": 1024, "mean_audio": 128}

NUM_CLASSES = 3862                  # 2018 and 2019; the 2017 set has 4716

# A stored byte q stands for q * SCALE + BIAS: the range -2 .. 2 in 256 steps, each at its middle.
QUANTIZED_LOW, QUANTIZED_HIGH = -2.0, 2.0
DEQUANTIZE_SCALE = (QUANTIZED_HIGH - QUANTIZED_LOW) / 255.0
DEQUANTIZE_BIAS = (QUANTIZED_HIGH - QUANTIZED_LOW) / 512.0 + QUANTIZED_LOW

# Batch keys.
FRAMES = "frames"
NUM_FRAMES = "num_frames"
FRAME_INDICES = "frame_indices"
FEATURES = "features"
LABELS = "labels"
VIDEO_ID = "video_id"
NUM_STORED_FRAMES = "num_stored_frames"
SHARD = "shard"
RECORD = "record"
EPOCH = "epoch"
POSITION = "position"
TARGETS = "targets"
TEACHER, STUDENT = "teacher", "student"

TOP_K = 20                          # predictions a video that GAP, mAP and the Kaggle CSV look at

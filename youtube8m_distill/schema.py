"""Facts of the YouTube-8M files and of batches: names, sizes, numbers. Imports nothing.

A batch is a dict, nested by role also where there is only one:

    {"teacher": {...}, "student": {...}, "labels": ...}

What a role sees of each video, at frame level:

    frames         uint8 (or float32) [B, T, sum of feature sizes]   rgb first, then audio
    num_frames     int32 [B]       how many of the T rows are real; the rest are zero padding
    frame_indices  int32 [B, T]    which frame of the video each row is, also in compact files; -1 in padding

and at video level:

    features       float32 [B, sum of feature sizes]

What belongs to the video:

    labels         uint8 [B, num_classes]   multi-hot
    label_weights  uint8 [B, num_classes]   of a rated segment: 1 where someone has rated the class
    stored_frames  int32 [B]                frames in the record, including those past a view's max_video_frames
    notes          float32 [B, 5]           what users should hear of about the record: NOTES
    targets        float16 [B, numbers]     the teacher's stored outputs, where there are some
    epoch          int32 [B]                in training
    position       int64 [B, 3]             in training: where the records continue (data.order)
    video_id       string [B]               in evaluation, with the next two
    shard, record  int32, int64 [B]         which file, and which of its records
    path           list of B paths          of these files, where they are printed
    serialized     string [B]               the records themselves, for a cascade
    stage          int32 [B]                in a cascade's outputs: which of its networks answered
"""

MAX_FRAMES = 300  # the starter code reads no frame past this one (one frame a second)
LONGEST_VIDEO = 10_000  # frames that can be read of a video; more need other networks and much memory

ID_KEYS = ("id", "video_id")  # 2018 and later; 2017 and earlier
MEDIAPIPE_ID_KEYS = ("example/id", "clip/data_path")  # for records without one of these
LABELS_KEY = "labels"
SEGMENT_KEYS = ("segment_labels", "segment_start_times", "segment_end_times", "segment_scores")  # in the files of 2019
RATED_KEY = "rated"  # of a segment that was cut out of such a file (data.segments)
KEPT_FRAMES_KEY = "compact/frame_indices"  # of a compact record: which frames of the original it holds
MEDIAPIPE_KEY = "{}/feature/floats"  # of a frame-level feature, with its name in capitals

FRAME_FEATURES = ("rgb", "audio")
VIDEO_FEATURES = ("mean_rgb", "mean_audio")
FEATURE_SIZES = {"rgb": 1024, "audio": 128, "mean_rgb": 1024, "mean_audio": 128}

NUM_CLASSES = 3862  # 2018 and 2019; the 2017 set has 4716

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
LABEL_WEIGHTS = "label_weights"
VIDEO_ID = "video_id"
STORED_FRAMES = "stored_frames"
NOTED = "notes"
SHARD = "shard"
RECORD = "record"
PATH = "path"
SERIALIZED = "serialized"
STAGE = "stage"
EPOCH = "epoch"
POSITION = "position"
TARGETS = "targets"
TEACHER, STUDENT = "teacher", "student"  # further teachers are teacher_2, teacher_3, ...

# The columns of `notes`. All but the last are 0 or 1.
NOTES = (
    "long",  # 1 for a video of more frames than are read
    "no_labels",  # 1 for a video without labels, if labels are read
    "trimmed",  # 1 if features have different numbers of frames, and frames were left out
    "filled",  # 1 if a feature is missing and zeros were read instead
    "clipped",  # share of the values that were beyond -2 .. 2 and were clipped when they were turned into bytes
)


def teacher_roles(count: int) -> tuple[str, ...]:
    """The roles of so many teachers of one student: teacher, teacher_2, teacher_3, ..."""
    return TEACHER, *(f"{TEACHER}_{number}" for number in range(2, count + 1))


TOP_K = 20  # predictions a video that GAP, mAP and the Kaggle CSV look at
TOP_N = 100_000  # segments a class that MAP@K and the CSV of segments look at

"""What users should hear of about the records that were read: the `notes` of batches, summed and in words."""

import numpy as np
from numpy.typing import ArrayLike

from youtube8m_distill import schema

MANY_CLIPPED = 0.05  # share of the numbers


class NoteCounter:
    """Sums the notes of batches.

    Args:
        max_video_frames: how many frames of a video were read at most.
        totals, num_videos: of the batches before.
    """

    def __init__(self, max_video_frames: int = schema.MAX_FRAMES, totals: ArrayLike | None = None, num_videos: int = 0):
        self.max_video_frames = max_video_frames
        self.totals = np.zeros(len(schema.NOTES)) if totals is None else np.asarray(totals, np.float64)
        self.num_videos = num_videos

    def add(self, notes: np.ndarray) -> None:
        """Adds the notes of a batch, float32 [B, 5]."""
        self.totals = self.totals + notes.sum(axis=0, dtype=np.float64)
        self.num_videos += len(notes)

    def in_words(self, where: str = "") -> list[str]:
        """One sentence for each kind of note that occurred. `where` follows the number of videos, as " in every epoch"."""
        count = {name: total for name, total in zip(schema.NOTES, self.totals)}
        of_all = f"of {self.num_videos:,} videos{where}"
        limit = self.max_video_frames
        sentences = {
            "long": f"{{}} {of_all} have more than {limit} frames; only the first {limit} were used.",
            "no_labels": f"{{}} {of_all} have no labels.",
            "trimmed": f"{{}} {of_all} have features of different length; the frames that only some have were left out.",
            "filled": f"{{}} {of_all} lack a feature; zeros were read instead.",
        }
        lines = [text.format(f"{round(count[name]):,}") for name, text in sentences.items() if count[name]]
        if count["clipped"]:
            share = count["clipped"] / max(self.num_videos, 1)
            rest = "; these are probably not features of the official extractor" if share > MANY_CLIPPED else ""
            clipped = f"{share:.3%} of the stored numbers are beyond -2 .. 2 and were clipped"
            lines.append(f"{clipped}{rest or ', as in the official files'}.")
        return lines

"""`extract`: from clips, transcripts and frames to features.

Importing this package starts neither TensorFlow nor Keras; extracting does. Sound needs the extra `io`, token vectors
the extra `text`.
"""

from plumkeras.data_pipelines.extraction.audio import AudioOptions
from plumkeras.data_pipelines.extraction.extracting import extract
from plumkeras.data_pipelines.extraction.text import TextOptions
from plumkeras.data_pipelines.extraction.vision import VisionOptions

__all__ = ["AudioOptions", "TextOptions", "VisionOptions", "extract"]

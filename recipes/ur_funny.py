"""UR-FUNNY, humor in two classes, from the folder of version 1 or 2.

Not tuned: no features of this set were at hand. The paper reports ACC-2 77.26 % and states no setting for it; the
values are those of `mustard`, with the last 60 words of context in front of the punchline (`--context-frames 0` takes
the punchline alone). The split is that of `data_folds.pkl`, speaker independent in version 2.

    plumkeras train ur_funny --data UR-FUNNY_V2 --output runs/ur_funny
"""

import dataclasses

from plumkeras.recipes.mustard import mustard

ur_funny = dataclasses.replace(mustard, name="ur_funny", context_frames=60)

"""Which video belongs to which split: the standard folds of CMU-MOSI, and any that the SDK's own file states."""

import os
import re

# As the CMU-MultimodalSDK states them (cmu_mosi_std_folds.py): 52, 10 and 31 videos.
CMU_MOSI = {
    "train": """
        2iD-tVS8NPw 8d-gEyoeBzc Qr1Ca94K55A Ci-AH39fi3Y 8qrpnFRGt2A Bfr499ggo-0 QN9ZIUWUXsY 9T9Hf74oK10
        7JsX8y1ysxY 1iG0909rllw Oz06ZWiO20M BioHAh1qJAQ 9c67fiY0wGQ Iu2PFX3z_1s Nzq88NnDkEk Clx4VXItLTE
        9J25DZhivz8 Af8D0E4ZXaw TvyZBvOMOTc W8NXH0Djyww 8OtFthrtaJM 0h-zjBukYpk Vj1wYRQjB-o GWuJjcEuzt8
        BI97DNYfe5I PZ-lDQFboO8 1DmNV9C1hbY OQvJTdtJ2H4 I5y0__X72p0 9qR7uwkblbs G6GlGvlkxAQ 6_0THN4chvY
        Njd1F0vZSm4 BvYR0L6f2Ig 03bSnISJMiM Dg_0XKD0Mf4 5W7Z1C_fDaE VbQk4H8hgr0 G-xst2euQUc MLal-t_vJPM
        BXuRRbG0Ugk LSi-o-IrDMs Jkswaaud0hk 2WGyTLYerpo 6Egk_28TtTM Sqr0AcuoNnk POKffnXeBds 73jzhE8R1TQ
        OtBXNcAL_lE HEsqda8_d0Q VCslbP0mgZI IumbAb8q2dM
    """,
    "valid": """
        WKA5OygbEKI c5xsKMxpXnc atnd_PF-Lbs bvLlb-M3UXU bOL9jKpeJRs _dI--eQ6qVU ZAIRrfG22O0 X3j2zQgwYgE
        aiEXnCPZubE ZUXBRvtny7o
    """,
    "test": """
        tmZoasNr4rU zhpQhgha_KU lXPQBPVc5Cw iiK8YX8oH1E tStelxIAHjw nzpVDcQ0ywM etzxEpPuc6I cW1FSBF59ik
        d6hH302o4v8 k5Y_838nuGo pLTX3ipuDJI jUzDDGyPkXU f_pcplsH_V0 yvsjCA6Y5Fc nbWiPyCm4g0 rnaNMUZpvvg
        wMbj6ajWbic cM3Yna7AavY yDtzw_Y-7RU vyB00TXsimI dq3Nf_lMPnE phBUpBr1hSo d3_k5Xpfmik v0zCBqDeKcE
        tIrG4oNLFzE fvVhgmXxadc ob23OKe5a9Q cXypl4FnoZo vvZ4IcEtiZc f9O3YtZ2VfI c7UH_rxdZv4
    """,
}
_LIST = re.compile(r"standard_(train|valid|test)_fold\s*=\s*\[([^\[\]]*)\]")
_NAME = re.compile(r"'([^'\n]*)'|\"([^\"\n]*)\"")
_MAX_BYTES = 4 << 20
# The SDK drops videos that are in no fold; a list that knows fewer than these is another data set's.
_MOSTLY = 0.9


def mosi():
    """Dict from the video ids of CMU-MOSI to their splits."""
    return {video: split for split, names in CMU_MOSI.items() for video in names.split()}


def read(path):
    """The folds that a file like the SDK's `cmu_mosei_std_folds.py` states; nothing in it is run.

    Returns:
        Dict from video ids to splits, or None where the file states none.
    """
    if os.path.getsize(path) > _MAX_BYTES:
        return None
    with open(path, encoding="utf-8", errors="replace") as file:
        lists = _LIST.findall(file.read())
    folds = {}
    for split, names in lists:
        for single, double in _NAME.findall(names):
            folds[single or double] = split
    return folds or None


def files(path):
    """The files of a folder that may state folds."""
    return [name for name in sorted(os.listdir(path)) if name.endswith(".py") and os.path.isfile(f"{path}/{name}")]


def by_split(videos, path, report):
    """Dict from split to its videos."""
    lists = {name: read(os.path.join(path, name)) for name in files(path)}
    lists["CMU-MOSI's standard folds"] = mosi()
    for source, folds in lists.items():
        known = [video for video in videos if folds and video in folds]
        if len(known) < _MOSTLY * len(videos):
            continue
        if len(known) < len(videos):
            lost = sorted(set(videos) - set(known))
            report.warn(f"{len(lost)} of {len(videos)} videos are in no fold of {source}, dropped; one is {lost[0]}")
        named = {split: [video for video in known if folds[video] == split] for split in ("train", "valid", "test")}
        return {split: names for split, names in named.items() if names}
    report.warn(
        f"the {len(videos)} videos are in no known list of folds, so there is one split, `all`, with the videos as "
        "groups; the SDK's own list (such as cmu_mosei_std_folds.py), put into the folder, gives the splits"
    )
    return {"all": videos}

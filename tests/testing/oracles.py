"""The paper's equations in float64 numpy, written from the specification, one row at a time where that is clearest."""

import numpy as np


def log_softmax(x):
    x = x - x.max(axis=-1, keepdims=True)
    return x - np.log(np.exp(x).sum(axis=-1, keepdims=True))


def softmax(x):
    return np.exp(log_softmax(x))


def contrastive_anchors(labels, embeddings, temperature=0.1, include_self=False, groups=None):
    """Eq. 1 and 2 by anchor: mean over its positives of -log softmax; NaN where the anchor is not valid."""
    z = np.asarray(embeddings, "float64")
    norms = np.linalg.norm(z, axis=1)
    n = len(labels)
    values = np.full(n, np.nan)
    for i in range(n):
        if labels[i] < 0:
            continue
        similar = [z[i] @ z[j] / (norms[i] * norms[j]) / temperature for j in range(n)]
        total = sum(np.exp(similar[j]) for j in range(n) if labels[j] >= 0 and (include_self or j != i))
        positives = [
            j for j in range(n) if j != i and labels[j] == labels[i] and (groups is None or groups[i] != groups[j])
        ]
        if positives:
            values[i] = np.mean([np.log(total) - similar[j] for j in positives])
    return values


def mean_of_valid(values):
    return np.nanmean(values) if np.isfinite(values).any() else 0.0


def contrastive(*args, **kwargs):
    return mean_of_valid(contrastive_anchors(*args, **kwargs))


def inter_contrastive(labels_by_modality, embeddings_by_modality, inter_positives="cross", **kwargs):
    """Eq. 2 over the stack of all modalities."""
    groups = np.repeat(np.arange(len(labels_by_modality)), [len(labels) for labels in labels_by_modality])
    return contrastive(
        np.concatenate(labels_by_modality),
        np.concatenate(embeddings_by_modality),
        groups=groups if inter_positives == "cross" else None,
        **kwargs,
    )


def one_hot(labels, classes):
    """A row of zeros for label -1."""
    return np.array([[float(label == k) for k in range(classes)] for label in labels])


def branch_rows(target, logits, class_balanced=False, label_smoothing=0.0):
    """Eq. 6 and 7 by row; NaN where the row has no target."""
    target = np.asarray(target, "float64")
    classes = target.shape[1]
    valid = target.sum(axis=1) > 0
    smoothed = (1 - label_smoothing) * target + label_smoothing / classes
    rows = -(smoothed * log_softmax(np.asarray(logits, "float64"))).sum(axis=1)
    if class_balanced:
        count = target[valid].sum(axis=0)
        inverse = np.divide(1.0, count, out=np.zeros(classes), where=count > 0)
        weight = target @ inverse
        rows = rows * weight / max(weight[valid].sum(), 1e-300) * valid.sum()
    return np.where(valid, rows, np.nan)


def branch(*args, **kwargs):
    return mean_of_valid(branch_rows(*args, **kwargs))


def class_means(labels, embeddings, classes):
    """Eq. 4: means and counts by class."""
    z = np.asarray(embeddings, "float64")
    labels = np.asarray(labels)
    counts = np.array([(labels == k).sum() for k in range(classes)])
    means = [z[labels == k].mean(axis=0) if counts[k] else np.zeros(z.shape[1]) for k in range(classes)]
    return np.array(means), counts


def prototype_labels(embeddings, prototypes, seen, present, temperature=1.0, normalize=False):
    """Eq. 5 by row: soft labels, and the nearest class seen or -1."""
    classes = len(prototypes)
    soft, hard = np.full((len(embeddings), classes), 1.0 / classes), np.full(len(embeddings), -1)
    if not any(seen):
        return soft, hard
    for i, h in enumerate(np.asarray(embeddings, "float64")):
        if not present[i]:
            continue
        unit = (lambda v: v / np.linalg.norm(v)) if normalize else (lambda v: v)
        distance = np.array(
            [np.linalg.norm(unit(h) - unit(c)) if s else np.inf for c, s in zip(prototypes, seen, strict=True)]
        )
        soft[i] = np.exp(-distance / temperature) / np.exp(-distance / temperature).sum()
        hard[i] = distance.argmin()
    return soft, hard


def dense(layer, x):
    kernel, bias = (np.asarray(w, "float64") for w in layer.weights)
    return x @ kernel + bias


def layer_norm(layer, x):
    gamma, beta = (np.asarray(w, "float64") for w in layer.weights)
    return (x - x.mean(-1, keepdims=True)) / np.sqrt(x.var(-1, keepdims=True) + layer.epsilon) * gamma + beta


def attend(layer, query, keys):
    """Multi-head attention of ONE sample: `query [Q, d]` over `keys [K, d]`, which are all readable."""
    (wq, bq), (wk, bk), (wv, bv), (wo, bo) = (
        (np.asarray(p.kernel, "float64"), np.asarray(p.bias, "float64"))
        for p in (layer.query_dense, layer.key_dense, layer.value_dense, layer.output_dense)
    )
    q, k, v = (
        np.einsum("td,dhk->htk", x, w) + b[:, None] for x, w, b in ((query, wq, bq), (keys, wk, bk), (keys, wv, bv))
    )
    weights = softmax(np.einsum("hqk,hsk->hqs", q, k) / np.sqrt(q.shape[-1]))
    return np.einsum("hqs,hsk,hkd->qd", weights, v, wo) + bo


def encode(encoder, sequence):
    """Pre-norm Transformer encoder on the valid frames of one sample."""
    from scipy.special import erf

    for block in encoder.blocks:
        hidden = layer_norm(block.attention_norm, sequence)
        sequence = sequence + attend(block.attention, hidden, hidden)
        kernel, bias = (np.asarray(w, "float64") for w in block.expand.weights)
        hidden = layer_norm(block.feed_forward_norm, sequence) @ kernel + bias
        hidden = 0.5 * hidden * (1 + erf(hidden / np.sqrt(2)))
        sequence = sequence + dense(block.contract, hidden)
    return layer_norm(encoder.final_norm, sequence)


def alignment_terms(
    outputs,
    classes,
    alignment_weight=0.1,
    temperature=0.1,
    include_self=False,
    inter_positives="cross",
    private_target="hard",
    warmup_target="class",
    class_balanced=False,
    label_smoothing=0.0,
    warmup=0,
    modalities=("text", "audio", "vision"),
):
    """`L_stage1` by terms."""
    labels = {m: np.where(outputs[f"{m}_present"], classes, -1) for m in modalities}
    contrast = {"temperature": temperature, "include_self": include_self}
    common = [outputs[f"{m}_aligned_common"] for m in modalities]
    terms = {
        "inter_loss": alignment_weight
        * inter_contrastive([labels[m] for m in modalities], common, inter_positives, **contrast)
    }
    starts = not (warmup and warmup_target == "none")
    for m in modalities:
        intra = contrastive(labels[m], outputs[f"{m}_aligned_embedding"], **contrast)
        terms[f"{m}_intra_loss"] = alignment_weight * intra
        true = one_hot(labels[m], 3)
        private = {
            "hard": one_hot(outputs[f"{m}_hard_label"], 3),
            "soft": outputs[f"{m}_soft_label"] * np.array(outputs[f"{m}_present"])[:, None],
            "class": true,
        }[private_target if not warmup else "class"]
        for name, target in (("common", true), ("private", private)):
            value = branch(target, outputs[f"{m}_{name}_logits"], class_balanced, label_smoothing)
            terms[f"{m}_{name}_loss"] = starts * value
    return terms

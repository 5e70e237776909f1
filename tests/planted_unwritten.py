"""Bugs that leave entries unwritten, most of them where zero would be the correct answer."""

import numpy as np
from planted_sources import OUT, Bug, Faulty

FINITE, WITHIN = "answer is finite", "float32 can hold"
"""What the port says of an answer that is NaN."""
UNWRITTEN = (
    Bug("rows.cu", "the mean of an empty row", "if (lane == 0) mean[row]",
        "if (lane == 0 && result != 0.0f) mean[row]", "masked_mean", FINITE),
    Bug("rows.cu", "the scale of an empty row", "if (lane == 0) scale[row]",
        "if (lane == 0 && result != 0.0f) scale[row]", "masked_scale", FINITE),
    Bug("rows.cu", "the last row", "if (row >= n) return;", "if (row >= max(n - 1, 1)) return;",
        "masked_mean", FINITE, times=2),
    Bug("saliency.cu", "the last column of odd widths",
        "for (int j = lane_of(); j < k; j += WARP) {\n    const size_t i",
        "for (int j = lane_of(); j < k / 2 * 2; j += WARP) {\n    const size_t i",
        "obs_saliency", WITHIN),
    Bug("saliency.cu", "scores of dead inputs", "    S[(size_t)row * k + j] = fabsf",
        "    if (f[j] > 0.0f) S[(size_t)row * k + j] = fabsf", "wanda_importance", WITHIN),
    Bug("saliency.cu", "sums of zeros", "  scores[column] = total;",
        "  if (total > 0.0f) scores[column] = total;", "column_saliency", FINITE),
    Bug("saliency.cu", "a slab's sums of zeros", "if (stripe == 0 && column < k)",
        "if (stripe == 0 && column < k && part[0][lane] > 0.0f)", "column_saliency", FINITE),
    Bug("importance.cu", "entries of no importance", "    S[base + j] = ",
        "    if (unit != 0.0f) S[base + j] = ", "standardized_importance", WITHIN),
    Bug("cosine.cu", "the cosine of zeros", "if (lane_of() == 0) cosines[row]",
        "if (lane_of() == 0 && lengths > 0.0f) cosines[row]", "block_cosine", FINITE),
    Bug("reduce.cu", "errors that are zero", "if (threadIdx.x == 0) objective[blockIdx.x]",
        "if (threadIdx.x == 0 && total > 0.0f) objective[blockIdx.x]", "salient_search", FINITE),
    Bug("reduce.cu", "a minimum that is the first", "if (t == 0) best[blockIdx.x]",
        "if (t == 0 && index[0] > 0) best[blockIdx.x]", "choose_split", OUT),
    Bug("rank.cu", "the rank of dead columns", "    place[j] = -1;\n    return;", "    return;",
        "choose_salient"),
    Bug("salient_search.cu", "rows without error", "if (lane_of() == 0) errors",
        "if (lane_of() == 0 && error > 0.0f) errors", "salient_search_direct", FINITE),
    Bug("split_search.cu", "rows without error", "if (lane_of() == 0) errors",
        "if (lane_of() == 0 && error > 0.0f) errors", "bell_split_search_direct", FINITE),
    Bug("calibrated_split.cu", "rows without error", "if (lane_of() == 0) errors",
        "if (lane_of() == 0 && error > 0.0f) errors", "calibrated_split_search", FINITE),
    Bug("trisection.cu", "rows without error", "if (lane_of() == 0) errors",
        "if (lane_of() == 0 && error > 0.0f) errors", "trisection_search", FINITE),
    Bug("split.cu", "zones of dead columns", "  codes[j] = rank < 0 ? 0 : ",
        "  if (rank >= 0) codes[j] = ", "billm_block"),
    Bug("split.cu", "entries of no zone", "    group[i] = ", "    if (code) group[i] = ",
        "billm_block"),
    Bug("pack.cu", "words of zeros", "if (lane_of() == 0) words[b",
        "if (lane_of() == 0 && digits) words[b", "billm_block"),
    Bug("pack.cu", "signs in the tail word of a row", "    if (lane_of() == 0) {",
        "    if (lane_of() == 0 && j + WARP <= k) {", "billm_block"),
    Bug("arb_rc.cu", "sums of columns of zeros", "    sums[((size_t)gridDim.x + b",
        "    if (part[1][0][lane + WARP * t] > 0.0f) sums[((size_t)gridDim.x + b",
        "refine_column_scale"),
    Bug("arb_x.cu", "products that are zero", "    right[(size_t)row * P + p] = c.g[p];",
        "    if (c.g[p] != 0.0f) right[(size_t)row * P + p] = c.g[p];", "calibrated_sums", FINITE),
    Bug("arb_signs.cu", "the last column of odd widths", "j < k; j += WARP",
        "j < k / 2 * 2; j += WARP", "joint_signs", "found 91"),
    Bug("gptq.cu", "codes that are zero", "if (lane_of() == owner) codes",
        "if (lane_of() == owner && code > 0.0f) codes", "gptq_layer"),
    Bug("pb_llm.cu", "signs that are -1", "if (lane_of() == owner) codes",
        "if (lane_of() == owner && (!binary || sign >= 0.0f)) codes", "pb_llm_layer"),
    Bug("sparsegpt.cu", "entries that are pruned", "own[j] = rank < keep;",
        "if (rank < keep) own[j] = 1;", "sparsegpt_prune"),
    Bug("step_masks.cu", "tail words", "if (q < groups && lane % PER_WORD == 0)",
        "if (q < groups && lane % PER_WORD == 0 && place + PER_WORD <= k / GROUP)",
        "spbo_schedule"),
)  # fmt: skip


class _Zeros:
    """NumPy, with the arrays that a fresh process gets from `empty`."""

    empty, empty_like = staticmethod(np.zeros), staticmethod(np.zeros_like)

    def __getattr__(self, name):
        return getattr(np, name)


class Lucky(Faulty):
    """The same device, where memory that nothing was written to is zero."""

    xp = _Zeros()

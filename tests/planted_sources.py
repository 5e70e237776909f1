"""One bug in one line of a kernel's source, and the operation that has to notice it."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from project import ROOT
from subbit.fast.device import Extent, Kernel
from subbit.fast.device.simulated import Simulated

FOLDER = ROOT / "fast" / "kernels"


@dataclass(frozen=True)
class Bug:
    """A text in a source, what stands there instead, and who has to notice.

    `said` is part of the report's message; `times` is how often the text stands in the file.
    """

    file: str
    kind: str
    old: str
    new: str
    operation: str
    said: str = ""
    times: int = 1

    @property
    def name(self) -> str:
        return f"{self.file}: {self.kind}"

    def plant(self, source: str) -> str:
        """Change a kernel's source, if it holds the file."""
        text = (FOLDER / self.file).read_text(encoding="utf-8")
        if text not in source:
            return source
        if text.count(self.old) != self.times:
            message = f"{self.name}: {self.old!r} stands {text.count(self.old)} times in the file"
            raise ValueError(message)
        return source.replace(text, text.replace(self.old, self.new))


class Faulty(Simulated):
    """A simulated device on which kernels have a bug."""

    def __init__(self, bug: Bug) -> None:
        super().__init__()
        self.bug = bug

    def launch(
        self, kernel: Kernel, grid: Extent, block: Extent, args: Sequence[object], shared: int = 0
    ) -> None:
        planted = replace(kernel, source=self.bug.plant(kernel.source))
        super().launch(planted, grid, block, args, shared)


RACE = "race: "
OUT = "out of bounds"
UNINITIALIZED = "uninitialized read"
SHUFFLE = "shuffle: "

BUGS = (
    # The shared parts.
    Bug("warp.cuh", "half of the warp in the lane mask", "(ALL_LANES, x, distance)",
        "(0x0000ffffu, x, distance)", "masked_mean", SHUFFLE),
    Bug("warp.cuh", "a level of the butterfly is missing", "distance = WARP / 2",
        "distance = WARP / 4", "masked_scale"),
    Bug("warp.cuh", "the sign of zero is ignored", "-1.0f : zero", "-1.0f : 1.0f",
        "residual_binarize"),
    Bug("by_magnitude.cuh", "open and closed intervals are the same",
        "closed ? key[j] <= threshold : key[j] < threshold", "key[j] <= threshold",
        "bell_split_search"),
    Bug("sides.cuh", "wide rows read past their end", "return j < k ? cut(j) : NEITHER;",
        "return cut(j);", "salient_search", OUT),
    Bug("sides.cuh", "every side has as many orders as there are",
        "p < order[q] ? warp_sum(total[q]) / count[q] : 0.0f", "warp_sum(total[q]) / count[q]",
        "bell_split_search_direct"),
    Bug("columns.cuh", "columns past the end of a row", " && WARP * t + owner < k", "",
        "gptq_layer", OUT),
    Bug("columns.cuh", "columns that other registers hold are not moved", "r >= t", "r == t",
        "gptq_layer"),
    Bug("columns.cuh", "the row's stride is that of a tile", "w(W + (size_t)row * k)",
        "w(W + (size_t)row * (k + k % 2))", "gptq_layer", OUT),
    Bug("sorted_group.cuh", "one tie too many is kept", "above < keep", "above <= keep",
        "nm_mask"),
    Bug("arb.cuh", "the second of four levels is the third", "level >= 2 ? 1.0f",
        "level >= 1 ? 1.0f", "joint_signs"),
    Bug("arb.cuh", "the last of several nearest levels", "inner[level - 1] < best",
        "inner[level - 1] <= best", "exact_joint_signs"),
    Bug("arb.cuh", "the last nearest level in a refinement", "inner[level - 1] < best",
        "inner[level - 1] <= best", "exact_signs"),
    Bug("arb_row.cuh", "wide rows take entries past their end",
        "return j < k && group[j] == which;", "return group[j] == which;", "arb", OUT),
    Bug("arb_row.cuh", "signs of the second plane are stored in the first",
        "signs[p * plane + lane + WARP * t] = (signed char)s[p][t]",
        "signs[lane + WARP * t] = (signed char)s[p][t]", "arb"),
    Bug("calibrated.cuh", "eps is ignored", "divisor[p] = G[p][p] + eps[p]", "divisor[p] = G[p][p]",
        "arb_x"),
    Bug("calibrated.cuh", "dependent columns are not noticed",
        "whole[p] > least[p] && G[p][p] > dependent * whole[p]", "true",
        "calibrate_levels"),
    # Statistics of rows, scores, ranks.
    Bug("rows.cu", "one entry past the end of a row", "j < k", "j <= k", "masked_mean", OUT,
        times=2),
    Bug("rows.cu", "the last block has no end", "if (row >= n) return;", "", "masked_mean", OUT,
        times=2),
    Bug("rows.cu", "an empty row divides by zero", "fmaxf(warp_sum(count), 1.0f)",
        "warp_sum(count)", "masked_scale"),
    Bug("saliency.cu", "a switch is ignored", "(squared ? ratio : w)", "ratio",
        "obs_saliency"),
    Bug("saliency.cu", "one entry past the end on odd widths",
        "for (int j = lane_of(); j < k; j += WARP)\n    S[",
        "for (int j = lane_of(); j < (k + 1) / 2 * 2; j += WARP)\n    S[", "wanda_importance", OUT),
    Bug("saliency.cu", "a missing barrier", "= total;\n  __syncthreads();", "= total;",
        "column_saliency", RACE),
    Bug("saliency.cu", "a missing barrier in a tree",
        "part[stripe + half][lane];\n    __syncthreads();", "part[stripe + half][lane];",
        "column_saliency", RACE),
    Bug("saliency.cu", "shared memory that only columns fill", "  part[stripe][lane] = total;",
        "  if (column < k) part[stripe][lane] = total;", "column_saliency", UNINITIALIZED),
    Bug("saliency.cu", "the last slab has no end", "min(first + SLAB, n)", "first + SLAB",
        "column_saliency", OUT),
    Bug("saliency.cu", "only the first slab is added", "s < slabs", "s < min(slabs, 1)",
        "column_saliency"),
    Bug("rank.cu", "equal scores from the last one", "i < j", "i > j", "rank_columns"),
    Bug("rank.cu", "dead columns take part", "alive[i] && (", "(", "choose_salient"),
    Bug("reduce.cu", "rows past the first block of threads", "i < n; i += BLOCK",
        "i < min(n, BLOCK); i += BLOCK", "salient_search"),
    Bug("reduce.cu", "a missing barrier",
        "part[threadIdx.x / WARP] = total;\n  __syncthreads();",
        "part[threadIdx.x / WARP] = total;", "salient_search", RACE),
    Bug("reduce.cu", "a warp of eight sums reads more", "threadIdx.x < BLOCK / WARP ? part",
        "threadIdx.x < WARP ? part", "salient_search", OUT),
    Bug("reduce.cu", "the last of several minima", "index[t + half] < index[t]",
        "index[t + half] > index[t]", "first_minimum"),
    Bug("reduce.cu", "candidates past the first block of threads",
        "i < candidates; i += BLOCK", "i < min(candidates, BLOCK); i += BLOCK", "first_minimum"),
    Bug("reduce.cu", "the last of several minima of a thread", "objective[i] < value[t]",
        "objective[i] <= value[t]", "first_minimum"),
    Bug("reduce.cu", "a missing barrier in a tree", "    }\n    __syncthreads();", "    }",
        "first_minimum", RACE),
    # Searches and zones.
    Bug("salient_search.cu", "one column too many", "rank < count", "rank <= count",
        "salient_search"),
    Bug("salient_search.cu", "rows share the ranks of the first", "(size_t)row * place_stride",
        "0", "salient_search_direct"),
    Bug("split_search.cu", "the second zone is the first", "second ? zone_1 : zone_0", "zone_0",
        "choose_column_groups"),
    Bug("split_search.cu", "the zones' stride is ignored", "codes + (size_t)row * stride", "codes",
        "bell_split_search_direct"),
    Bug("calibrated_split.cu", "rows of S past its end", "min(WARP, k - WARP * t)", "WARP",
        "calibrated_split_search", OUT),
    Bug("trisection.cu", "both thresholds are one", "factor * lower,\n", "lower,\n",
        "trisection_search"),
    Bug("split.cu", "entries at a threshold", "closed ? key[i] > threshold : key[i] >= threshold",
        "key[i] > threshold", "bell_split"),
    Bug("split.cu", "the second zone is cut at the first one's threshold",
        "thresholds[c + best[1]]", "p", "choose_column_groups"),
    Bug("pack.cu", "words beyond column 32", "(int)(word % width) * WARP + lane_of()", "lane_of()",
        "billm_block"),
    Bug("pack.cu", "bits beyond the last column", "const bool inside = j < k;",
        "const bool inside = true;", "billm_block"),
    # Binarization and refinement.
    Bug("binarize.cu", "a switch is ignored", "if (center) {", "{", "residual_binarize"),
    Bug("binarize.cu", "the row's stride is a whole number of tiles",
        "const size_t base = (size_t)row * k;",
        "const size_t base = (size_t)row * ((k + WARP - 1) / WARP * WARP);", "residual_binarize"),
    Bug("arb.cu", "one step for both planes", "steps & (SCALE << p)", "steps & SCALE",
        "refine_scale"),
    Bug("arb.cu", "eps is ignored", "warp_sum(squares) + eps", "warp_sum(squares)",
        "refine_scale"),
    Bug("arb_signs.cu", "the second scale is never wide", "v[wide & 2 ? i : row]", "v[row]",
        "joint_signs"),
    Bug("arb_x.cu", "what lies outside of the group is ignored", "!(own || whole)", "!own",
        "calibrated_sums"),
    Bug("arb_rc.cu", "a missing barrier", "denominator[t];\n  }\n  __syncthreads();",
        "denominator[t];\n  }", "refine_column_scale", UNINITIALIZED),
    Bug("arb_rc.cu", "the last slab has no end", "min(blockIdx.x * SLAB + SLAB, n)",
        "blockIdx.x * SLAB + SLAB", "refine_row_scale", OUT),
    Bug("arb_rc.cu", "every slab is the first", "sums[(size_t)blockIdx.x * k + j]", "sums[j]",
        "refine_column_scale"),
    Bug("arb_rc_columns.cu", "only the first slab is added", "s < slabs", "s < min(slabs, 1)",
        "refine_column_scale"),
    # Pruning and baselines.
    Bug("importance.cu", "a switch is ignored", "standardize == AFTER ? both * f[j] : both",
        "both", "standardized_importance"),
    Bug("nm_mask.cu", "a missing barrier", "  __syncwarp();\n", "", "nm_mask", RACE),
    Bug("nm_mask.cu", "columns that fill no group shift no row",
        "= S[first * GROUP + i + (rest ? q / in_row * rest : 0)]", "= S[first * GROUP + i]",
        "nm_mask"),
    Bug("nm_mask_any.cu", "equal scores from the last one", "l < j", "l > j", "nm_mask"),
    Bug("step_masks.cu", "a missing barrier", "  __syncwarp();\n", "", "spbo_schedule", RACE),
    Bug("step_masks.cu", "a group that a row does not fill",
        "(1u << min(columns, GROUP)) - 1u : 0u", "0u : 0u", "spbo_schedule"),
    Bug("step_masks.cu", "words beyond column 32", "* width + place / PER_WORD]", "* width]",
        "spbo_schedule"),
    Bug("spbo.cu", "words beyond column 32", "words[t] >> lane", "words[0] >> lane", "spbo"),
    Bug("spbo.cu", "a switch is ignored", "masked && !kept(t)", "!kept(t)", "spbo"),
    Bug("cosine.cu", "a token of zeros", "lengths > 0.0f ? dot / lengths : 0.0f", "dot / lengths",
        "block_cosine"),
    Bug("gptq.cu", "codes below zero", "fmaxf(rintf(value / s) + z, 0.0f)",
        "(rintf(value / s) + z)", "gptq_layer"),
    Bug("gptq.cu", "halves away from zero", "rintf(value / s)", "roundf(value / s)",
        "exact_gptq"),
    Bug("gptq.cu", "one grid for all blocks", "(first + i) / group_size - first_group", "0",
        "gptq_layer"),
    Bug("largest.cuh", "the smallest come first", "rival > own ||", "rival < own ||",
        "sparsegpt_prune"),
    Bug("assign.cu", "the planes of the next group", "plane = first[g - 1]", "plane = first[g]",
        "assign_columns"),
    Bug("assign.cu", "means are not subtracted", "z = value - q", "z = value", "assign_columns"),
    Bug("assign.cu", "column scales of another column", "p * k + i] : 1.0f", "p * k] : 1.0f",
        "assign_columns"),
    Bug("assign.cu", "negative scales are taken as positive", "u < 0.0f ? -z : z", "z",
        "exact_assign_columns"),
    Bug("assign.cu", "the other weights may move", "!some || movable", "!some || !movable",
        "assign_columns"),
    Bug("assign.cu", "column scales are never read", "scaled ? columns", "false ? columns",
        "assign_columns"),
    Bug("assign.cu", "entries left out are in the last group", "g > 0 && g <= groups", "g > 0",
        "pbs2p_layer_feedback_settings"),
    Bug("assign.cu", "the image of a column is not written", "image[at + i] = q", "image[at] = q",
        "billm_layer_column_feedback"),
    Bug("levels.cu", "levels past the largest", "+ 1.0f, -top), top)", "+ 1.0f, -top), 99.0f)",
        "typed_groups_layer"),
    Bug("levels.cu", "one more is large", "rank < large ? 3 : 1", "rank <= large ? 3 : 1",
        "typed_groups_layer"),
    Bug("levels.cu", "the last columns are large", "i + SPAN > k ? large : before", "before",
        "typed_groups_layer"),
    Bug("levels.cu", "large entries whatever the error", "if (!(change < 0.0f)) continue;", "",
        "sweep_levels"),
    Bug("levels.cu", "products move the wrong way", "fmaf(-delta, H", "fmaf(delta, H",
        "sweep_levels"),
    Bug("levels.cu", "the diagonal of another column", "/ H[(size_t)i * k + i];", "/ H[0];",
        "sweep_levels"),
    Bug("row_split.cu", "rows are read past their end", "return lane + WARP * t < k;",
        "return true;", "row_split", OUT),
    Bug("row_split.cu", "the root is not taken", "rms ? sqrtf(level) : level", "level",
        "row_split"),
    Bug("row_split.cu", "distances from zero", "rms ? d * d : fabsf(d)",
        "rms ? d * d : fabsf(entry(t))", "row_split"),
    Bug("row_split.cu", "the last threshold is not tried", "l < c; ++l", "l + 1 < c; ++l",
        "row_split"),
    Bug("row_split.cu", "a lane's share of the mean", "common = warp_sum(total)", "common = total",
        "row_split"),
    Bug("row_split.cu", "the sign of zero is ignored", "sign_of(value - mu, zero)",
        "sign_of(value - mu, 1.0f)", "row_split"),
    Bug("row_split.cu", "one scale for both sides of the image",
        "sides.alpha[1] : sides.alpha[0]) * s", "sides.alpha[0] : sides.alpha[0]) * s",
        "hbllm_block"),
    Bug("row_split.cu", "thresholds of the first row", "cuts[(size_t)row * c + l]", "cuts[l]",
        "row_split"),
    Bug("pb_llm.cu", "halves up", "rintf(value / s)", "floorf(value / s + 0.5f)",
        "exact_pb_llm"),
    Bug("pb_llm.cu", "the sign of zero is ignored", "sign_of(value - mu, sign_zero)",
        "sign_of(value - mu, 1.0f)", "pb_llm_layer"),
    Bug("sparsegpt.cu", "a group that a row does not fill", "stop > k ? 0 : before",
        "before", "sparsegpt_prune"),
    Bug("sparsegpt.cu", "one more is kept", "rank < keep", "rank <= keep", "sparsegpt_prune"),
)  # fmt: skip

FREE = (
    Bug("largest.cuh", "equal scores from the last one", "WARP * t + lane < WARP * r + x.lane",
        "WARP * t + lane > WARP * r + x.lane", "exact_sparsegpt"),
)  # fmt: skip
"""No bugs: what the documentation leaves to the port."""

OFFSETS = (
    Bug("rows.cu", "offset of a row", "const size_t base = (size_t)row * k;",
        "const int base = row * k;", "", times=2),
    Bug("binarize.cu", "offset of a row", "const size_t base = (size_t)row * k;",
        "const int base = row * k;", ""),
    Bug("arb_signs.cu", "offset of an entry", "const size_t i = (size_t)row * k + j;",
        "const int i = row * k + j;", ""),
    Bug("saliency.cu", "offset of an entry", "(size_t)i * k + column", "i * k + column", ""),
    Bug("split.cu", "offset of an entry", "const size_t i = (size_t)row * k + j;",
        "const int i = row * k + j;", ""),
    Bug("cosine.cu", "offset of a row", "x += (size_t)row * k;", "x += row * k;", ""),
    Bug("reduce.cu", "offset of a candidate", "errors + (size_t)blockIdx.x * n",
        "errors + (int)blockIdx.x * n", ""),
)  # fmt: skip
"""The same, for what no case can be large enough to show: these are found by reading the code."""

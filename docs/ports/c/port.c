/* A port of subbit in C99: one C function for each of the specification's; serve.h has the loop
 * that answers calls. Each function reads its arguments first, which refuses what is not valid, and then
 * writes its answer.
 *
 *     make port
 *     subbit check --exec ./port --level 2
 */
#include "algorithms.h"
#include "serve.h"

/* ---- Binarization ---- */
static void sign(void) {
    Array shape;
    double *x = values("x", &shape);
    long zero = number("zero", 0, 1);
    int8_t *signs = NEW(int8_t, shape.count);
    EACH(i, shape.count) signs[i] = sign_of(x[i], zero);
    begin("");
    put_bytes("I8", signs, shape.axes, shape.shape);
    end("");
}

static void row_means(const double *W, const Byte *mask, const double *about) {
    double *means = NEW(double, n);
    EACH(i, n) means[i] = row_mean(W + i * k, mask + i * k, k, about ? about + i : NULL);
    begin("");
    put(means, 1, n, 0);
    end("");
}

static void masked_mean(void) {
    double *W = matrix("W", &n, &k);
    row_means(W, entries("mask", n, k), NULL);
}

static void masked_scale(void) {
    double *W = matrix("W", &n, &k);
    Byte *mask = entries("mask", n, k);
    row_means(W, mask, argument("mean") ? vector("mean", &n) : NEW(double, n));
}

static void binarize_once(void) {
    double *R = matrix("R", &n, &k);
    Byte *mask = entries("mask", n, k);
    int center = flag("center");
    Group g = binarized("", R, mask, n, k, 1, center, number("sign_zero", 0, 1), 0, 0);
    begin("[");
    put(center ? g.mean : NEW(double, n), 1, n, 0);
    printf(",");
    put(g.scale[0], 1, n, 0);
    printf(",");
    put_bytes("I8", g.sign[0], 2, (long[]){n, k});
    end("]");
}

static void residual_binarize(void) {
    double *W = matrix("W", &n, &k);
    Byte *mask = entries("mask", n, k);
    long order = number("order", 1, PLANES), zero = number("sign_zero", 0, 1);
    int center = flag("center");
    Group g = binarized(name_of("name"), W, mask, n, k, order, center, zero, 0, 0);
    answer_group(&g);
}

/* ---- Round to nearest ---- */
static void grid_of(const double *W, const Byte *mask, long width, double top, double *scale,
                    double *zero) { /* Eq. (11), subbit:  s = (max - min) / (2^b - 1) */
    EACH(i, n) {
        double low = 0, high = 0;
        EACH(j, width) if (!mask || mask[i * width + j]) {
            double x = W[i * width + j];
            if (x < low) low = x;
            if (x > high) high = x;
        }
        if (high - low < DBL_MIN) low = -1, high = 1;
        scale[i] = (high - low) / top, zero[i] = rint(-low / scale[i]);
    }
}

static Byte *codes_of(const double *W, long width, const double *scale, const double *zero,
                      double top) { /* Eq. (12), subbit:  C = clip(round(W / s) + z) */
    Byte *codes = NEW(Byte, n * width);
    EACH(i, n * width) {
        double place = rint(W[i] / scale[i / width]) + zero[i / width];
        codes[i] = (Byte)(place < 0 ? 0 : place > top ? top : place);
    }
    return codes;
}

static void minmax_grid(void) {
    double *W = matrix("W", &n, &k), *scale = NEW(double, n), *zero = NEW(double, n);
    long bits = number("bits", 1, 8);
    grid_of(WRONG == 3 ? NULL : W, NULL, k, (1 << bits) - 1, scale, zero);
    begin("[");
    put(scale, 1, n, 0);
    printf(",");
    put(zero, 1, n, 0);
    end("]");
}

static void grid_codes(void) {
    double *W = matrix("W", &n, &k), *scale = vector("scale", &n), *zero = vector("zero", &n);
    long bits = number("bits", 1, 8);
    EACH(i, n) if (scale[i] <= 0) refuse("scale", "positive numbers", "others");
    begin("");
    put_bytes("U8", codes_of(W, k, scale, zero, (1 << bits) - 1), 2, (long[]){n, k});
    end("");
}

static void rtn_block(const double *W, const Node *settings, long width) {
    long bits = (long)in(settings, "bits")->number;
    Byte *mask = memset(NEW(Byte, n * width), 1, (size_t)(n * width));
    if (is(settings, "kind", "sign")) {
        int center = in(settings, "center")->number != 0;
        Group g = binarized("all", W, mask, n, width, 1, center, 1, 0, 0);
        put_group(&g);
        return;
    }
    double *scale = NEW(double, n), *zero = NEW(double, n), top = (1 << bits) - 1;
    grid_of(W, NULL, width, top, scale, zero);
    printf("{\"record\":\"UniformGroup\",\"fields\":{\"name\":\"all\",\"mask\":");
    put_mask(mask, 2, n, width);
    printf(",\"codes\":");
    put_bytes("U8", codes_of(W, width, scale, zero, top), 2, (long[]){n, width});
    printf(",\"scale\":");
    put(scale, 1, n, 0);
    printf(",\"zero\":");
    put(zero, 1, n, 0);
    printf(",\"bits\":%ld}}", bits);
}

static void open_block(long start, long stop) {
    printf("{\"record\":\"QuantizedBlock\",\"fields\":{\"start\":%ld,\"stop\":%ld,\"groups\":[",
           start, stop);
}

static void rtn_layer(void) {
    double *W = matrix("W", &n, &k);
    if (argument("H")) matrix("H", &(long){k}, &(long){k});
    const Node *settings = config("RTN"), *size = in(settings, "group_size");
    long step = size->kind == WHOLE && size->number < (double)k ? (long)size->number : k;
    begin("{\"record\":\"QuantizedLayer\",\"fields\":{\"blocks\":[");
    for (long start = 0; start < k; start += step) {
        long width = start + step < k ? step : k - start;
        double *own = NEW(double, n * width);
        EACH(i, n) memcpy(own + i * width, W + i * k + start, (size_t)width * sizeof *own);
        printf(start ? "," : "");
        open_block(start, start + width);
        rtn_block(own, settings, width);
        printf("],\"salient\":null,\"pattern\":null}}");
    }
    printf("],\"order\":null,\"shape\":[%ld,%ld]}}", n, k);
    end("");
}

/* ---- N:M sparsity, and its patterns as numbers ---- */
static void group_of(long *keep, long *group, long most) {
    *group = number("group", 1, (double)most);
    *keep = number("keep", 1, (double)*group);
}

static void nm_mask(void) {
    long keep, group;
    double *scores = matrix("scores", &n, &k);
    int dense = second("tail", "error", "dense");
    group_of(&keep, &group, 65536);
    if (k % group && !dense) refuse("group", "a divisor of the width", "another number");
    Byte *mask = NEW(Byte, CELLS);
    EACH(i, n) EACH(j, k) { /* Eq. (33), subbit: fewer than N are larger, or equal and before */
        long first = j - j % group, before = 0;
        const double *row = scores + i * k;
        for (long l = first; l < first + group && l < k; l++)
            before += row[l] > row[j] || (row[l] == row[j] && l < j);
        mask[i * k + j] = before < keep || first + group > k;
    }
    begin("");
    put_mask(mask, 2, n, k);
    end("");
}

static int64_t choices[61][61]; /* C(a, b), from Pascal's triangle */

static void pattern_bits(void) {
    long keep, group, bits = 0;
    group_of(&keep, &group, 60);
    for (int64_t rest = choices[group][keep] - 1; rest; rest >>= 1) bits++;
    printf("{\"type\":\"result\",\"id\":%ld,\"value\":%ld}\n", id, bits);
}

/* Eq. (36), subbit: a column that is not kept passes over the patterns that keep it. */
static void rank_patterns(void) {
    long keep, group;
    Array shape = array_of(argument("mask"));
    n = shape.shape[0], k = shape.shape[1];
    Byte *mask = flags("mask", argument("mask"), n, n, k, 0);
    group_of(&keep, &group, 60);
    if (k % group) refuse("mask", "a multiple of the group as its width", "another width");
    int64_t *ranks = NEW(int64_t, CELLS);
    EACH(g, CELLS / group) {
        long left = count_in(mask + g * group, group);
        if (left != keep) refuse("mask", "N entries in each group", "others");
        EACH(j, group) {
            if (mask[g * group + j]) left--;
            else if (left) ranks[g] += choices[group - 1 - j][left - 1];
        }
    }
    begin("");
    put_wholes(ranks, 2, n, k / group);
    end("");
}

static void unrank_patterns(void) {
    long keep, group;
    Array shape;
    int64_t *ranks = places("ranks", 2, 0x1p62, &shape);
    group_of(&keep, &group, 60);
    Byte *mask = NEW(Byte, shape.count * group);
    EACH(g, shape.count) {
        long left = keep;
        if (ranks[g] >= choices[group][keep]) refuse("ranks", "numbers of patterns", "others");
        EACH(j, group) {
            int64_t step = left ? choices[group - 1 - j][left - 1] : 0;
            mask[g * group + j] = ranks[g] < step;
            if (mask[g * group + j]) left--;
            else ranks[g] -= step;
        }
    }
    begin("");
    put_mask(mask, 2, shape.shape[0], shape.shape[1] * group);
    end("");
}

/* ---- ARB ---- */
static Group started(int *relative) {
    double *W = matrix("W", &n, &k);
    Byte *mask = entries("mask", n, k);
    long order = number("order", 1, 2);
    const char *name = name_of("name");
    const Node *settings = config("Refinement");
    *relative = is(settings, "eps_kind", "relative");
    return binarized(name, W, mask, n, k, order, 1, (long)in(settings, "sign_zero")->number,
                     is(settings, "divisor", "width"), is(settings, "initial_signs", "plain"));
}

static void arb_start(void) {
    Group g = started(&(int){0});
    answer_group(&g);
}

static void arb(void) {
    int relative;
    Group g = started(&relative);
    const Node *settings = config("Refinement");
    double *W = matrix("W", &n, &k), eps = in(settings, "eps")->number;
    EACH(round, (long)in(settings, "iterations")->number) {
        refine_mean(&g, W);
        EACH(p, g.planes) refine_scale(&g, W, p, eps, relative);
        refine_signs(&g, W, (long)in(settings, "sign_zero")->number);
    }
    answer_group(&g);
}

static void refine(char what) {
    Group g = read_group("group");
    double *W = matrix("W", &g.n, &g.k);
    if (what == 'm') refine_mean(&g, W);
    if (what == 's') refine_signs(&g, W, number("sign_zero", 0, 1));
    if (what == 'a') {
        long plane = number("plane", 0, (double)g.planes - 1);
        double eps = real("eps", 0, 1);
        refine_scale(&g, W, plane, eps, second("eps_kind", "absolute", "relative"));
    }
    answer_group(&g);
}
static void refined_mean(void) { refine('m'); }
static void refined_scale(void) { refine('a'); }
static void refined_signs(void) { refine('s'); }

/* ---- Searches ---- */
static void bell_split(void) {
    double *key = matrix("key", &n, &k), cut = real("threshold", -LARGEST, LARGEST);
    Byte *mask = part("columns", n, k), *low = NEW(Byte, CELLS), *high = NEW(Byte, CELLS);
    split(key, mask, CELLS, cut, flag("closed"), low, high);
    begin("[");
    put_mask(low, 2, n, k);
    printf(",");
    put_mask(high, 2, n, k);
    end("]");
}

static void bell_search(int direct) {
    long count = 0, order[2];
    double *T = matrix("target", &n, &k), *key = NEW(double, CELLS);
    Byte *mask = part("columns", n, k);
    double *cuts = vector("thresholds", &count);
    orders("orders", order, direct ? 64 : 2);
    EACH(i, CELLS) key[i] = fabs(T[i]);
    if (direct && argument("key")) key = matrix("key", &n, &k);
    int center = flag("center"), closed = flag("closed");
    long zero = number("sign_zero", 0, 1);
    double *errors = split_errors(T, key, mask, n, k, cuts, count, order, center, zero, closed);
    begin("{\"record\":\"Search\",\"fields\":{\"candidates\":");
    put(cuts, 1, count, 0);
    printf(",\"objectives\":");
    put(errors, 1, count, 0);
    end("}}");
}
static void bell_split_search(void) { bell_search(0); }
static void bell_split_search_direct(void) { bell_search(1); }

static void salient_search(void) {
    Array ranks, tried;
    long order[2];
    double *T = matrix("target", &n, &k);
    int64_t *ranking = places("ranking", 1, (double)k - 1, &ranks);
    EACH(i, ranks.count) EACH(j, i)
        if (ranking[i] == ranking[j]) refuse("ranking", "distinct columns", "others");
    int64_t *counts = places("counts", 1, (double)ranks.count, &tried);
    orders("orders", order, 64);
    Byte *kept = entries("entries", n, k);
    int center = flag("center");
    double *errors = count_errors(T, kept, n, k, ranking, ranks.count, counts, tried.count, order,
                                  center, number("sign_zero", 0, 1));
    begin("{\"record\":\"Search\",\"fields\":{\"candidates\":");
    put_wholes(counts, 1, tried.count, 0);
    printf(",\"objectives\":");
    put(errors, 1, tried.count, 0);
    end("}}");
}

static void column_saliency(void) {
    double *S = matrix("S", &n, &k);
    begin("");
    put(saliency(S, n, k), 1, k, 0);
    end("");
}

static void rank_columns(void) {
    double *scores = vector("scores", &k);
    begin("");
    put_wholes(ranked(scores, k), 1, k, 0);
    end("");
}

static void answer_grid(const char *kind) {
    Array shape;
    double *key = values("key", &shape);
    long levels = *kind == 'b' ? 1 : number("levels", 1, 1 << 20), count;
    double *cuts = grid(kind, key, shape.count, levels, &count);
    begin("");
    put(cuts, 1, count, 0);
    end("");
}
static void maximum_grid(void) { answer_grid("maximum"); }
static void quantile_grid(void) { answer_grid("quantiles"); }
static void breakpoint_grid(void) { answer_grid("breakpoints"); }

/* ---- A block of BiLLM, arXiv 2402.04291, Algorithm 1 ---- */
static void salient_columns(void) {
    double *W = matrix("W", &n, &k), *S = matrix("S", &n, &k);
    Byte *alive = columns("alive", k), *kept = entries("entries", n, k);
    Partition p = partition("Partition");
    long blocks = number("blocks", 1, 0x7fffffff);
    begin("");
    put_mask(choose_salient(p, W, S, alive, kept, blocks, n, k), 1, k, 0);
    end("");
}

static void split_columns(void) {
    double *W = matrix("W", &n, &k), *S = matrix("S", &n, &k);
    Byte *low = NEW(Byte, CELLS), *high = NEW(Byte, CELLS);
    choose_split(partition("Partition"), W, S, columns("columns", k), n, k, low, high);
    begin("[");
    put_mask(low, 2, n, k);
    printf(",");
    put_mask(high, 2, n, k);
    end("]");
}

static void billm_block(void) {
    double *W = matrix("W", &n, &k), *S = matrix("S", &n, &k);
    Byte *alive = columns("alive", k), *rest = NEW(Byte, k), *zones[3];
    Byte *kept = memset(NEW(Byte, CELLS), 1, (size_t)(CELLS));
    Partition p = partition("BiLLM");
    long start = number("start", 0, 0x7fffffff);
    Byte *salient = argument("salient") ? columns("salient", k)
                                        : choose_salient(p, W, S, alive, kept, 1, n, k);
    EACH(z, 3) zones[z] = NEW(Byte, CELLS);
    EACH(j, k) rest[j] = alive[j] && !salient[j];
    EACH(i, CELLS) zones[2][i] = salient[i % k];
    choose_split(p, W, S, rest, n, k, zones[0], zones[1]);
    begin("");
    open_block(start, start + k);
    EACH(z, 3) {
        const char *name = (const char *[]){"concentrated", "sparse", "salient"}[z];
        Group g = binarized(name, W, zones[z], n, k, z == 2 ? 2 : 1, p.center, p.zero, 0, 0);
        printf(z ? "," : "");
        put_group(&g);
    }
    printf("],\"salient\":");
    put_mask(salient, 1, k, 0);
    end(",\"pattern\":null}}");
}

/* ---- The program ---- */
#define F(name) {#name, name}
static const Function FUNCTIONS[] = {
    F(sign), F(masked_mean), F(masked_scale), F(binarize_once), F(residual_binarize),
    F(minmax_grid), F(grid_codes), F(rtn_layer), F(nm_mask), F(pattern_bits), F(rank_patterns),
    F(unrank_patterns), F(arb_start), F(arb), {"refine_mean", refined_mean},
    {"refine_scale", refined_scale}, {"refine_signs", refined_signs}, F(bell_split),
    F(bell_split_search), F(bell_split_search_direct), F(salient_search),
    {"salient_search_direct", salient_search}, F(column_saliency), F(rank_columns),
    F(maximum_grid), F(quantile_grid), F(breakpoint_grid), {"choose_salient", salient_columns},
    {"choose_split", split_columns}, F(billm_block),
};

static const char CAPABILITIES[] =
    "{\"dtype\":\"float64\",\"settings\":{\"pattern_bits\":{\"group\":{\"most\":60}},"
    "\"rank_patterns\":{\"group\":{\"most\":60}},\"unrank_patterns\":{\"group\":{\"most\":60}},"
    "\"arb\":{\"levels\":[\"alternate\"]}}}";

int main(void) {
    EACH(a, 61) EACH(b, a + 1)
        choices[a][b] = b && b < a ? choices[a - 1][b - 1] + choices[a - 1][b] : 1;
    return serve(FUNCTIONS, sizeof FUNCTIONS / sizeof *FUNCTIONS, CAPABILITIES);
}

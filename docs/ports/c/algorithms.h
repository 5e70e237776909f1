/* Algorithms of subbit in C99, in float64 and straight sums: binarization, ARB, searches, and how
 * BiLLM divides a block. Equations are those of docs/equations.md.
 *
 * WRONG makes a port that is wrong on purpose: 1 adds in float32 but declares float64, 2 takes the
 * last of equally good candidates, 3 reads through a null pointer in minmax_grid.
 */
#include "message.h"

#ifndef WRONG
#define WRONG 0
#endif
#if WRONG == 1
typedef float Sum;
#else
typedef double Sum;
#endif
#define PLANES 64

/* ---- Groups ---- */
typedef struct {
    const char *name;
    const Byte *mask;
    long n, k, planes;
    int8_t *sign[PLANES];
    double *scale[PLANES], *mean; /* no mean: NULL */
} Group;

static int8_t sign_of(double x, long zero) { return x > 0 ? 1 : x < 0 ? -1 : (int8_t)zero; }

static long count_in(const Byte *mask, long k) {
    long count = 0;
    EACH(j, k) count += mask[j];
    return count;
}

/* Eq. (6), subbit:  mu_i = sum_j M_ij W_ij / c_i; or of |W_ij - about| */
static double row_mean(const double *row, const Byte *mask, long k, const double *about) {
    Sum sum = 0;
    EACH(j, k) if (mask[j]) sum += (Sum)(about ? fabs(row[j] - *about) : row[j]);
    long count = count_in(mask, k);
    return sum / (Sum)(count ? count : 1);
}

static double decoded(const Group *g, long i, long j) {
    double value = g->mean ? g->mean[i] : 0;
    EACH(p, g->planes) value += g->scale[p][i] * g->sign[p][i * g->k + j];
    return g->mask[i * g->k + j] ? value : 0;
}

/* Eq. (6), BiLLM, and Alg. 1, ARB-LLM: each order binarizes what the ones before it left. `width`
 * divides by the width of the row, and `plain` takes signs without subtracting the mean. */
static Group binarized(const char *name, const double *W, const Byte *mask, long n, long k,
                       long order, int center, long zero, int width, int plain) {
    Group g = {name, mask, n, k, order, {0}, {0}, center ? NEW(double, n) : NULL};
    double *rest = NEW(double, CELLS);
    memcpy(rest, W, (size_t)(CELLS) * sizeof *rest);
    EACH(p, order) {
        g.sign[p] = NEW(int8_t, CELLS), g.scale[p] = NEW(double, n);
        EACH(i, n) {
            const Byte *own = mask + i * k;
            double share = width ? (double)count_in(own, k) / (double)k : 1;
            double mean = center ? row_mean(rest + i * k, own, k, NULL) * share : 0;
            double scale = g.scale[p][i] = row_mean(rest + i * k, own, k, &mean) * share;
            if (center) g.mean[i] += mean;
            EACH(j, k) {
                double *x = rest + i * k + j;
                int8_t sign = sign_of(plain ? *x : *x - mean, zero);
                *x = *x - mean - scale * sign;
                g.sign[p][i * k + j] = own[j] ? sign : 0;
            }
        }
    }
    return g;
}

static double error_of(const double *T, const Byte *mask, long n, long k, long order, int center,
                       long zero) {
    Group g = binarized("", T, mask, n, k, order, center, zero, 0, 0);
    Sum total = 0;
    EACH(i, n) {
        Sum sum = 0;
        EACH(j, k) if (mask[i * k + j]) {
            Sum difference = (Sum)(T[i * k + j] - decoded(&g, i, j));
            sum += difference * difference;
        }
        total += sum;
    }
    return total;
}

static void put_group(const Group *g) {
    printf("{\"record\":\"BinaryGroup\",\"fields\":{\"name\":\"%s\",\"mask\":", g->name);
    put_mask(g->mask, 2, g->n, g->k);
    printf(",\"planes\":[");
    EACH(p, g->planes) {
        printf("%s{\"record\":\"Plane\",\"fields\":{\"sign\":", p ? "," : "");
        put_bytes("I8", g->sign[p], 2, (long[]){g->n, g->k});
        printf(",\"row_scale\":");
        put(g->scale[p], 1, g->n, 0);
        printf(",\"column_scale\":null}}");
    }
    printf("],\"mean\":");
    if (g->mean) put(g->mean, 1, g->n, 0);
    else printf("null");
    printf("}}");
}

static void answer_group(const Group *g) {
    begin("");
    put_group(g);
    end("");
}

static Group read_group(const char *name) {
    Node *fields = in(argument(name), "fields");
    if (!is(argument(name), "record", "BinaryGroup")) refuse(name, "a group", "something else");
    Array mask = array_of(in(fields, "mask"));
    Group g = {text_in(fields, "name"), NULL, mask.shape[0], mask.shape[1], 0, {0}, {0}, NULL};
    g.mask = flags(name, in(fields, "mask"), g.n, g.n, g.k, 0);
    Node *planes = in(fields, "planes");
    for (Node *plane = planes ? planes->first : NULL; plane; plane = plane->next, g.planes++) {
        Node *own = in(plane, "fields"), *scaled = in(own, "column_scale");
        Array sign = array_of(in(own, "sign"));
        if (g.planes == 2 || !scaled || scaled->kind != NOTHING || strcmp(sign.dtype, "I8") ||
            sign.axes != 2 || sign.shape[0] != g.n || sign.shape[1] != g.k)
            refuse(name, "one or two planes of signs, without column scales", "others");
        g.sign[g.planes] = (int8_t *)memcpy(NEW(int8_t, sign.count), sign.data, (size_t)sign.count);
        EACH(i, sign.count)
            if (abs(g.sign[g.planes][i]) > g.mask[i]) refuse(name, "signs under the mask", "others");
        g.scale[g.planes] = doubles(name, in(own, "row_scale"), 1, &g.n);
    }
    if (!g.planes) refuse(name, "one or two planes", "none");
    Node *mean = in(fields, "mean");
    g.mean = mean && mean->kind != NOTHING ? doubles(name, mean, 1, &g.n) : NULL;
    return g;
}

/* ---- ARB, arXiv 2410.03129: each half step fits one of mean, scale and signs ---- */
static void refine_mean(Group *g, const double *W) { /* Eq. (3): mu + mean(W - W^) */
    double *mean = NEW(double, g->n);
    EACH(i, g->n) {
        Sum sum = 0;
        EACH(j, g->k) if (g->mask[i * g->k + j]) sum += (Sum)(W[i * g->k + j] - decoded(g, i, j));
        long count = count_in(g->mask + i * g->k, g->k);
        mean[i] = (g->mean ? g->mean[i] : 0) + sum / (Sum)(count ? count : 1);
    }
    g->mean = mean;
}

static void refine_scale(Group *g, const double *W, long p, double eps, int relative) {
    double *above = NEW(double, g->n), *below = NEW(double, g->n), total = 0;
    const int8_t *B = g->sign[p], *C = g->planes == 2 ? g->sign[1 - p] : NULL;
    EACH(i, g->n) { /* Eq. (4) and (7): sum B (W - mu - the other plane) / sum B^2 */
        Sum sum = 0;
        for (long c = i * g->k; c < (i + 1) * g->k; c++) {
            double z = W[c] - (g->mean ? g->mean[i] : 0) - (C ? g->scale[1 - p][i] * C[c] : 0);
            sum += (Sum)(B[c] * z);
            below[i] += B[c] * B[c];
        }
        above[i] = sum, total += below[i];
    }
    EACH(i, g->n) {
        double divisor = below[i] + (relative ? eps * (total / (double)g->n) : eps);
        if (divisor > 0) g->scale[p][i] = above[i] / divisor;
    }
}

static void refine_signs(Group *g, const double *W, long zero) {
    EACH(i, g->n) EACH(j, g->k) if (g->mask[i * g->k + j]) {
        long c = i * g->k + j;
        double z = W[c] - (g->mean ? g->mean[i] : 0), nearest = INFINITY;
        if (g->planes == 1) g->sign[0][c] = sign_of(z, zero);
        else
            EACH(l, 4) { /* Eq. (8): the nearest of the levels +-u +-v */
                int8_t s = l < 2 ? -1 : 1, t = l % 2 ? 1 : -1;
                double distance = fabs(z - (s * g->scale[0][i] + t * g->scale[1][i]));
                if (distance < nearest) g->sign[0][c] = s, g->sign[1][c] = t, nearest = distance;
            }
    }
}

/* ---- Searches, arXiv 2402.04291: of equally good candidates the first ---- */
static long best(const double *objectives, long count) {
    long found = 0;
    EACH(c, count)
#if WRONG == 2
        if (objectives[c] <= objectives[found]) found = c;
#else
        if (objectives[c] < objectives[found]) found = c;
#endif
    return found;
}

static void split(const double *key, const Byte *mask, long count, double cut, int closed,
                  Byte *low, Byte *high) { /* Eq. (11): |w| <= p, |w| > p */
    EACH(i, count) {
        int below = closed ? key[i] <= cut : key[i] < cut;
        low[i] = below && mask[i], high[i] = !below && mask[i];
    }
}

static double *split_errors(const double *T, const double *key, const Byte *mask, long n, long k,
                            const double *cuts, long count, const long *order, int center,
                            long zero, int closed) {
    double *errors = NEW(double, count);
    Byte *low = NEW(Byte, CELLS), *high = NEW(Byte, CELLS);
    EACH(c, count) {
        split(key, mask, CELLS, cuts[c], closed, low, high);
        errors[c] = error_of(T, high, n, k, order[1], center, zero) +
                    error_of(T, low, n, k, order[0], center, zero);
    }
    return errors;
}

static double *count_errors(const double *T, const Byte *kept, long n, long k,
                            const int64_t *ranking, long ranked, const int64_t *counts, long count,
                            const long *order, int center, long zero) {
    double *errors = NEW(double, count); /* Eq. (5): the error of salient and other columns */
    EACH(c, count) {
        Byte *salient = NEW(Byte, CELLS), *rest = NEW(Byte, CELLS);
        EACH(r, ranked) EACH(i, n) {
            long cell = i * k + ranking[r];
            (r < counts[c] ? salient : rest)[cell] = kept[cell];
        }
        errors[c] = error_of(T, salient, n, k, order[0], center, zero) +
                    error_of(T, rest, n, k, order[1], center, zero);
    }
    return errors;
}

static const double *sorted_by;
static int by_number(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}
static int by_score(const void *a, const void *b) { /* the largest first, then the lower column */
    int64_t i = *(const int64_t *)a, j = *(const int64_t *)b;
    double x = sorted_by[i], y = sorted_by[j];
    return x != y ? (x < y) - (x > y) : (i > j) - (i < j);
}

static int64_t *ranked(const double *scores, long k) {
    int64_t *columns = NEW(int64_t, k);
    EACH(j, k) columns[j] = j;
    sorted_by = scores;
    qsort(columns, (size_t)k, sizeof *columns, by_score);
    return columns;
}

static double *saliency(const double *S, long n, long k) { /* Alg. 2: sum_i |S_ij| */
    double *scores = NEW(double, k);
    EACH(j, k) {
        Sum sum = 0;
        EACH(i, n) sum += (Sum)fabs(S[i * k + j]);
        scores[j] = sum;
    }
    return scores;
}

static double *grid(const char *kind, double *key, long size, long levels, long *count) {
    double *cuts = NEW(double, levels > size ? levels : size), largest = key[0];
    EACH(i, size) if (key[i] > largest) largest = key[i];
    *count = levels;
    if (!strcmp(kind, "maximum")) {
        EACH(i, levels)
            cuts[i] = (i && i == levels - 1 ? 9 : 1 + i * (8.0 / (levels - 1))) * largest / 10;
        if (levels == 1) cuts[0] = largest / 10;
        return cuts;
    }
    qsort(key, (size_t)size, sizeof *key, by_number);
    if (!strcmp(kind, "breakpoints")) {
        *count = 0;
        EACH(i, size) if (!i || key[i] != key[i - 1]) cuts[(*count)++] = key[i];
        return cuts;
    }
    EACH(i, levels) { /* Eq. (15): quantiles from 0.1 to 0.9, interpolated */
        double q = levels == 1 ? 0.1 : i == levels - 1 ? 0.9 : 0.1 + i * (0.8 / (levels - 1));
        double place = q * (double)(size - 1), low = floor(place), share = place - low;
        double a = key[(long)low], b = key[(long)low + 1 < size ? (long)low + 1 : size - 1];
        cuts[i] = share < 0.5 ? a + (b - a) * share : b - (b - a) * (1 - share);
    }
    return cuts;
}

/* ---- BiLLM: how a block is divided ---- */
typedef struct {
    const Node *settings;
    int center, closed;
    long zero;
} Partition;

static Partition partition(const char *kind) {
    Node *s = config(kind);
    Partition p = {s, in(s, "center")->number != 0, in(s, "closed")->number != 0,
                   (long)in(s, "sign_zero")->number};
    return p;
}

static Byte *choose_salient(Partition p, const double *W, const double *S, const Byte *alive,
                            const Byte *kept, long blocks, long n, long k) {
    Byte *salient = NEW(Byte, k);
    double *scores = saliency(S, n, k);
    long available = count_in(alive, k), ends[2], order[2];
    if (!available) return salient;
    EACH(j, k) if (!alive[j]) scores[j] = -1;
    int64_t *ranking = ranked(scores, k), *counts = NEW(int64_t, available + 1);
    const Node *range = in(p.settings, "counts")->first;
    const Node *two = in(p.settings, "search_orders")->first;
    EACH(e, 2) {
        double most = range->number * (double)blocks;
        ends[e] = most < (double)available ? (long)most : available, range = range->next;
        order[e] = (long)two->number, two = two->next;
    }
    long count = ends[1] - ends[0] + 1;
    EACH(c, count) counts[c] = ends[0] + c;
    const double *T = is(p.settings, "search_on", "weights") ? W : S;
    double *errors = count_errors(T, kept, n, k, ranking, available, counts, count, order, p.center,
                                  p.zero);
    EACH(r, counts[best(errors, count)]) salient[ranking[r]] = 1;
    return salient;
}

static void choose_split(Partition p, const double *W, const double *S, const Byte *taking, long n,
                         long k, Byte *low, Byte *high) {
    const double *T = is(p.settings, "search_on", "weights") ? W : S;
    const double *cut = is(p.settings, "split_by", "weights") ? W : S;
    const char *kind = text_in(p.settings, "grid");
    double *key = NEW(double, CELLS), *chosen = NEW(double, CELLS);
    Byte *mask = NEW(Byte, CELLS);
    long size = 0, count, order[2] = {1, 1}, zeros = !strcmp(kind, "quantiles_with_zeros");
    EACH(i, CELLS) {
        key[i] = fabs(cut[i]), mask[i] = taking[i % k];
        if (mask[i] || zeros) chosen[size++] = mask[i] ? key[i] : 0;
    }
    if (!count_in(taking, k)) return;
    double *cuts = grid(kind, chosen, size, strcmp(kind, "maximum") ? 81 : 9, &count);
    double *errors = split_errors(T, key, mask, n, k, cuts, count, order, p.center, p.zero,
                                  p.closed);
    split(key, mask, CELLS, cuts[best(errors, count)], p.closed, low, high);
}

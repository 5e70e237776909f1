/* Messages of subbit in C99: calls are read, arguments checked, answers written.
 *
 * It needs nothing but the C library: JSON and safetensors are read here, since the suite uses few
 * forms of them. docs/format.md has all forms. Any port may copy this file.
 *
 *     an argument                       is read by                        an answer     is written by
 *     numbers of shape (n, k), (k,)     matrix, vector                    numbers       put
 *     numbers of any shape              values                            one number    put_number
 *     a mask (n, k), all if null        entries                           a mask        put_mask
 *     a mask (k,); (k,) or (n, k)       columns; part                     whole ones    put_wholes
 *     whole numbers                     places                            signs, codes  put_bytes
 *     one whole number, one number      number, real
 *     true or false; a text             flag; second of two, name_of
 *     a configuration                   config, then in for its settings
 *
 * argument returns NULL for null. Numbers that JSON does not have are {"real":"nan"}, "inf", "-inf".
 */
#ifndef SUBBIT_MESSAGE_H
#define SUBBIT_MESSAGE_H
#include <float.h>
#include <math.h>
#include <setjmp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LARGEST 1e100
#define CELLS (n * k)
#define EACH(i, count) for (long i = 0; i < (count); i++)
typedef unsigned char Byte;

/* ---- Memory: everything that a call takes is freed after it. ---- */
static void **taken;
static size_t takes, room;

static void stop(const char *why) {
    fprintf(stderr, "port: %s\n", why);
    exit(2);
}

static void *get(size_t count, size_t size) {
    void *memory = calloc(count ? count : 1, size);
    if (takes == room) taken = realloc(taken, (room = 2 * room + 64) * sizeof *taken);
    if (!memory || !taken) stop("no memory");
    return taken[takes++] = memory;
}
#define NEW(type, count) ((type *)get((size_t)(count), sizeof(type)))

static void give_back(void) {
    while (takes) free(taken[--takes]);
}

/* ---- JSON: a tree of nodes. Texts keep their escapes, since none of ours has any. ---- */
typedef struct Node {
    enum { NOTHING, FLAG, WHOLE, REAL, TEXT, LIST, OBJECT } kind;
    double number;
    char *text, *key;
    struct Node *first, *next;
} Node;
static const char *at;

static void skip(void) { at += strspn(at, " \t\r\n"); }

static char *read_text(void) {
    const char *start = ++at;
    while (*at && *at != '"') at += *at == '\\' ? 2 : 1;
    char *text = NEW(char, at - start + 1);
    memcpy(text, start, (size_t)(at++ - start));
    return text;
}

static Node *read_node(void) {
    Node *node = NEW(Node, 1), **end = &node->first;
    skip();
    if (*at == '{' || *at == '[') {
        node->kind = *at == '{' ? OBJECT : LIST;
        for (at++, skip(); *at && *at != '}' && *at != ']'; skip()) {
            char *key = node->kind == OBJECT ? read_text() : NULL;
            if (key) skip(), at++; /* the colon */
            *end = read_node();
            (*end)->key = key;
            end = &(*end)->next;
            skip();
            if (*at == ',') at++;
        }
        if (*at) at++;
    } else if (*at == '"') {
        node->kind = TEXT, node->text = read_text();
    } else if (strchr("tfn", *at)) {
        node->kind = *at == 'n' ? NOTHING : FLAG, node->number = *at == 't';
        at += strspn(at, "truefalsn");
    } else {
        size_t length = strspn(at, "+-.0123456789eE");
        node->kind = strcspn(at, ".eE") < length ? REAL : WHOLE, node->number = strtod(at, NULL);
        at += length ? length : 1;
    }
    return node;
}

static Node *in(const Node *object, const char *key) {
    for (Node *node = object ? object->first : NULL; node; node = node->next)
        if (node->key && !strcmp(node->key, key)) return node;
    return NULL;
}

static const char *text_in(const Node *object, const char *key) {
    Node *node = in(object, key);
    return node && node->kind == TEXT ? node->text : "";
}

static int is(const Node *object, const char *key, const char *text) {
    return !strcmp(text_in(object, key), text);
}

/* ---- Refusals: argument, what is expected, what came. ---- */
static jmp_buf refused;
static long id;
static char folder[4096];
static Node *arguments, *header;
static const Byte *tensors;

static void refuse(const char *argument, const char *expected, const char *got) {
    printf("{\"type\":\"error\",\"id\":%ld,\"error\":{\"kind\":\"argument\",\"argument\":\"%s\","
           "\"expected\":\"%s\",\"got\":\"%s\"}}\n", id, argument, expected, got);
    longjmp(refused, 1);
}

/* ---- Arrays: a safetensors file is a length of 8 bytes, a header in JSON, and the elements. ---- */
static void load(const char *name) {
    char path[sizeof folder + 256];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    FILE *file = fopen(path, "rb");
    if (!file || fseek(file, 0, SEEK_END)) stop(path);
    long size = ftell(file);
    Byte *bytes = NEW(Byte, size + 1);
    rewind(file);
    if (fread(bytes, 1, (size_t)size, file) != (size_t)size) stop(path);
    fclose(file);
    long length = 0;
    EACH(i, 8) length |= (long)bytes[i] << 8 * i;
    at = (const char *)bytes + 8;
    header = read_node();
    tensors = bytes + 8 + length;
}

typedef struct {
    int axes;
    long shape[8], count;
    const char *dtype;
    const Byte *data;
} Array;

static Array array_of(const Node *node) {
    Array array = {0, {0}, 1, text_in(node, "dtype"), tensors};
    for (Node *length = in(node, "shape") ? in(node, "shape")->first : NULL; length;
         length = length->next) {
        if (array.axes == 8) array.dtype = "";
        else array.shape[array.axes++] = (long)length->number;
        array.count *= (long)length->number;
    }
    Node *offsets = in(in(header, text_in(node, "tensor")), "data_offsets");
    if (offsets) array.data += (long)offsets->first->number;
    return array;
}

/* ---- Arguments: each is checked against its contract. ---- */
static const char *seen(const Node *node) {
    static char text[96];
    const char *kinds[] = {"null", "true or false", "a whole number", "a number", "text", "a list"};
    if (!node) return kinds[NOTHING];
    if (node->kind != OBJECT) return kinds[node->kind];
    Array array = array_of(node);
    if (!in(node, "shape")) return "another object";
    snprintf(text, sizeof text, "an array of %.8s with %d axes and %ld elements", array.dtype,
             array.axes, array.count);
    return text;
}

static Node *argument(const char *name) {
    Node *node = in(arguments, name);
    return node && node->kind != NOTHING ? node : NULL;
}

static double *doubles(const char *name, Node *node, int axes, long *shape) {
    Array array = array_of(node);
    if (strcmp(array.dtype, "F64") || (axes >= 0 && array.axes != axes) || !array.count)
        refuse(name, "an array of numbers of another form", seen(node));
    EACH(i, axes > 0 ? axes : 0) {
        if (shape[i] && shape[i] != array.shape[i]) refuse(name, "another shape", "this one");
        shape[i] = array.shape[i];
    }
    double *numbers = NEW(double, array.count);
    memcpy(numbers, array.data, (size_t)array.count * sizeof *numbers); /* little-endian */
    EACH(i, array.count)
        if (!(fabs(numbers[i]) <= LARGEST)) refuse(name, "finite numbers up to 1e100", "others");
    return numbers;
}

static double *matrix(const char *name, long *n, long *k) {
    long shape[2] = {*n, *k};
    double *numbers = doubles(name, argument(name), 2, shape);
    *n = shape[0], *k = shape[1];
    return numbers;
}

static double *vector(const char *name, long *k) { return doubles(name, argument(name), 1, k); }

static double *values(const char *name, Array *array) {
    Node *node = argument(name);
    *array = array_of(node);
    if (!node || (node->kind != WHOLE && node->kind != REAL)) return doubles(name, node, -1, NULL);
    double *number = NEW(double, 1);
    if (!(fabs(*number = node->number) <= LARGEST)) refuse(name, "a finite number", "another");
    return number;
}

/* A mask of n x k entries; with rows = 0 one of k columns, spread over n rows. */
static Byte *flags(const char *name, Node *node, long rows, long n, long k, int omitted) {
    Byte *mask = NEW(Byte, CELLS);
    if (!node && omitted) return memset(mask, 1, (size_t)(CELLS));
    Array array = array_of(node);
    int columns = array.axes == 1 && array.shape[0] == k && !rows;
    int entries = array.axes == 2 && array.shape[0] == n && array.shape[1] == k && rows;
    if (strcmp(array.dtype, "BOOL") || !(columns || entries))
        refuse(name, "a mask of the shape of the weights", seen(node));
    EACH(i, CELLS) mask[i] = array.data[columns ? i % k : i];
    return mask;
}

static Byte *entries(const char *name, long n, long k) {
    return flags(name, argument(name), n, n, k, 1);
}
static Byte *columns(const char *name, long k) { return flags(name, argument(name), 0, 1, k, 0); }
static Byte *part(const char *name, long n, long k) {
    return flags(name, argument(name), array_of(argument(name)).axes == 2, n, k, 0);
}

static long whole(const char *name, const Node *node, double least, double most) {
    if (!node || node->kind != WHOLE || node->number < least || node->number > most)
        refuse(name, "a whole number in its range", seen(node));
    return (long)node->number;
}

static long number(const char *name, double least, double most) {
    return whole(name, argument(name), least, most);
}

static double real(const char *name, double least, double most) {
    Node *node = argument(name);
    if (!node || (node->kind != WHOLE && node->kind != REAL) || !(node->number >= least) ||
        !(node->number <= most))
        refuse(name, "a number in its range", seen(node));
    return node->number;
}

static int flag(const char *name) {
    Node *node = argument(name);
    if (!node || node->kind != FLAG) refuse(name, "true or false", seen(node));
    return node->number != 0;
}

/* Whether a setting is the second of two. */
static int second(const char *name, const char *one, const char *two) {
    if (!is(arguments, name, one) && !is(arguments, name, two))
        refuse(name, "one of its settings", text_in(arguments, name));
    return is(arguments, name, two);
}

static const char *name_of(const char *name) {
    Node *node = argument(name);
    if (!node || node->kind != TEXT) refuse(name, "a name", seen(node));
    return node->text;
}

static Node *config(const char *kind) {
    if (!is(argument("config"), "config", kind)) refuse("config", kind, "something else");
    return in(argument("config"), "settings");
}

static void orders(const char *name, long *found, long most) {
    Node *node = argument(name);
    if (!node || node->kind != LIST || !node->first || !node->first->next ||
        node->first->next->next)
        refuse(name, "two orders", seen(node));
    found[0] = whole(name, node->first, 1, most);
    found[1] = whole(name, node->first->next, 1, most);
}

/* Whole numbers from 0 to most. */
static int64_t *places(const char *name, int axes, double most, Array *array) {
    *array = array_of(argument(name));
    int64_t *found = NEW(int64_t, array->count);
    if (strcmp(array->dtype, "I64") || array->axes != axes || !array->count)
        refuse(name, "whole numbers", seen(argument(name)));
    memcpy(found, array->data, (size_t)array->count * sizeof *found);
    EACH(i, array->count)
        if (found[i] < 0 || (double)found[i] > most) refuse(name, "numbers in range", "others");
    return found;
}

/* ---- Answers ---- */
static void begin(const char *text) {
    printf("{\"type\":\"result\",\"id\":%ld,\"value\":%s", id, text);
}
static void end(const char *text) { printf("%s}\n", text); }

static void put_number(double x) {
    if (x == x && fabs(x) <= DBL_MAX) printf("%.17g", x);
    else printf("{\"real\":\"%s\"}", x != x ? "nan" : x > 0 ? "inf" : "-inf");
}

static void open_array(const char *dtype, int axes, const long *shape) {
    printf("{\"dtype\":\"%s\",\"shape\":[", dtype);
    EACH(i, axes) printf("%s%ld", i ? "," : "", shape[i]);
    printf("],\"data\":[");
}

static void put(const double *x, int axes, long n, long k) {
    long shape[2] = {n, k};
    open_array("F64", axes, shape);
    EACH(i, axes == 1 ? n : CELLS) {
        if (i) printf(",");
        put_number(x[i]);
    }
    printf("]}");
}

static void put_bytes(const char *dtype, const void *x, int axes, const long *shape) {
    long count = 1;
    EACH(i, axes) count *= shape[i];
    open_array(dtype, axes, shape);
    EACH(i, count)
        printf("%s%d", i ? "," : "", *dtype == 'I' ? ((const int8_t *)x)[i] : ((const Byte *)x)[i]);
    printf("]}");
}

static void put_mask(const Byte *mask, int axes, long n, long k) {
    put_bytes("BOOL", mask, axes, (long[]){n, k});
}

static void put_wholes(const int64_t *x, int axes, long n, long k) {
    long shape[2] = {n, k};
    open_array("I64", axes, shape);
    EACH(i, axes == 1 ? n : CELLS) printf("%s%lld", i ? "," : "", (long long)x[i]);
    printf("]}");
}
#endif

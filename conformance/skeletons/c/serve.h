/* The loop that answers calls with the functions of a table; see message.h for their arguments. */
#ifndef SUBBIT_SERVE_H
#define SUBBIT_SERVE_H
#include "message.h"

typedef struct {
    const char *name;
    void (*answer)(void); /* writes one answer, or refuses an argument; NULL: not implemented */
} Function;

/* Lengths of a call's arrays: 0 until the first argument that has them. */
static long n, k;

static void hello(const Node *message, const Function *table, long count, const char *capabilities) {
    const char *comma = "";
    snprintf(folder, sizeof folder, "%s", text_in(message, "folder"));
    printf("{\"type\":\"hello\",\"protocol\":1,\"inline\":0,\"functions\":[");
    EACH(f, count) if (table[f].answer && !strchr(table[f].name, '.')) {
        printf("%s\"%s\"", comma, table[f].name);
        comma = ",";
    }
    printf("],\"capabilities\":%s}\n", capabilities);
}

static void call(const Node *message, const Function *table, long count) {
    id = (long)in(message, "id")->number, arguments = in(message, "arguments"), header = NULL;
    if (in(message, "tensors")) load(text_in(message, "tensors"));
    n = k = 0;
    EACH(f, count) if (table[f].answer && is(message, "function", table[f].name)) {
        if (!setjmp(refused)) table[f].answer();
        return;
    }
    printf("{\"type\":\"not_implemented\",\"id\":%ld}\n", id);
}

static int serve(const Function *table, long count, const char *capabilities) {
    size_t size = 1 << 16, used = 0;
    char *line = malloc(size);
    while (line && fgets(line + used, (int)(size - used), stdin)) {
        used += strlen(line + used);
        if (line[used - 1] != '\n') { /* the line goes on */
            if (used + 1 == size) line = realloc(line, size *= 2);
            continue;
        }
        at = line, used = 0;
        const Node *message = read_node();
        if (is(message, "type", "hello")) hello(message, table, count, capabilities);
        else call(message, table, count);
        fflush(stdout);
        give_back();
    }
    return line ? 0 : (fputs("no memory for a message\n", stderr), 2);
}
#endif

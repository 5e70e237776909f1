/* A port of subbit in C99.
 *
 *     make
 *     subbit check --exec ./port --level 2 --depth quick
 *
 * FUNCTIONS below has every function of the protocol: what it takes and what it answers. Write
 * one, in the way of sign, and put it in the place of its NULL. A function reads its arguments
 * first, with the functions of message.h, which refuse what is not valid. Then it writes one
 * answer: begin, the value, end. Several values are a list: begin("["), and end("]").
 *
 * Every call has all arguments; numbers come as F64, masks as BOOL, whole numbers as I64, signs as
 * I8. docs/format.md has all forms. docs/ports/c is a port of thirty functions with the same two
 * headers.
 */
#include "serve.h"

/* What the port declares; it decides how large errors may be, and what the port is asked. */
static const char CAPABILITIES[] = "{\"dtype\":\"float64\",\"lanes\":1}";

static void sign(void) {
    Array shape;
    double *x = values("x", &shape);
    long zero = number("zero", 0, 1);
    int8_t *signs = NEW(int8_t, shape.count);
    EACH(i, shape.count) signs[i] = x[i] > 0 ? 1 : x[i] < 0 ? -1 : (int8_t)zero;
    begin("");
    put_bytes("I8", signs, shape.axes, shape.shape);
    end("");
}

static const Function FUNCTIONS[] = {
@FUNCTIONS@
};

int main(void) { return serve(FUNCTIONS, sizeof FUNCTIONS / sizeof *FUNCTIONS, CAPABILITIES); }

/* SPDX-License-Identifier: Apache-2.0 */
#include "wire/outbuf.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/assert.h"
#include "base/mem.h"

enum { FIRST_CAP = 64 };

void pln_out_put(pln_out *out, const void *data, size_t size) {
    if (out->failed || size == 0) {
        return;
    }
    size_t used = out->bytes.size;
    PLN_ASSERT(used <= out->cap);
    PLN_ASSERT(size <= SIZE_MAX / 4);
    PLN_ASSERT(used <= SIZE_MAX / 4);
    if (size > out->cap - used) {
        size_t cap = out->cap > 0 ? out->cap : FIRST_CAP;
        while (cap - used < size) {
            cap *= 2;
        }
        uint8_t *grown = pln_realloc(out->bytes.data, cap);
        if (grown == NULL) {
            out->failed = true;
            return;
        }
        out->bytes.data = grown;
        out->cap = cap;
    }
    memcpy(out->bytes.data + used, data, size);
    out->bytes.size = used + size;
}

void pln_out_text(pln_out *out, const char *text) {
    pln_out_put(out, text, strlen(text));
}

void pln_out_printf(pln_out *out, const char *format, ...) {
    char text[256];
    va_list args;
    va_start(args, format);
    int length = vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    PLN_ASSERT(length >= 0);
    PLN_ASSERT((size_t)length < sizeof(text));
    pln_out_put(out, text, (size_t)length);
}

pollen_err pln_out_finish(pln_out *out, pln_bytes *ret) {
    if (out->failed) {
        pln_out_fini(out);
        return POLLEN_ENOMEM;
    }
    pln_bytes_fini(ret);
    *ret = out->bytes;
    *out = (pln_out){0};
    return POLLEN_OK;
}

void pln_out_fini(pln_out *out) {
    pln_bytes_fini(&out->bytes);
    *out = (pln_out){0};
}

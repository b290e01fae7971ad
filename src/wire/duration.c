/* SPDX-License-Identifier: Apache-2.0 */
#include "wire/duration.h"

#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "base/assert.h"

static const struct unit {
    const char *name;
    uint64_t ns;
} units[] = {
    {"ns", 1ull},
    {"us", 1000ull},
    {"\xc2\xb5s", 1000ull}, /* Micro sign. */
    {"\xce\xbcs", 1000ull}, /* Greek letter mu. */
    {"ms", 1000000ull},
    {"s", 1000000000ull},
    {"m", 60ull * 1000000000},
    {"h", 3600ull * 1000000000},
};

static bool is_digit(char c) {
    return c >= '0' && c <= '9';
}

/* The digits before the point. */
static bool read_whole(const char **at, uint64_t *ret_value) {
    uint64_t value = 0;
    while (is_digit(**at)) {
        uint64_t digit = (uint64_t)(**at - '0');
        if (value > (INT64_MAX - digit) / 10) {
            return false;
        }
        value = value * 10 + digit;
        *at += 1;
    }
    *ret_value = value;
    return true;
}

/* The digits after the point as *ret_value parts of *ret_scale, a power of ten; digits beyond 2^63
 * of them change nothing. */
static void read_fraction(const char **at, uint64_t *ret_value, double *ret_scale) {
    uint64_t value = 0;
    double scale = 1;
    bool is_full = false;
    while (is_digit(**at)) {
        uint64_t digit = (uint64_t)(**at - '0');
        is_full = is_full || value > (INT64_MAX - digit) / 10;
        if (!is_full) {
            value = value * 10 + digit;
            scale *= 10;
        }
        *at += 1;
    }
    *ret_value = value;
    *ret_scale = scale;
}

static const struct unit *read_unit(const char **at) {
    size_t length = strcspn(*at, ".0123456789");
    for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++) {
        if (strlen(units[i].name) == length && memcmp(units[i].name, *at, length) == 0) {
            *at += length;
            return &units[i];
        }
    }
    return NULL;
}

/* One number and its unit, added to *total. */
static bool read_term(const char **at, uint64_t *total) {
    const char *begin = *at;
    uint64_t whole;
    uint64_t fraction = 0;
    double scale = 1;
    if (!read_whole(at, &whole)) {
        return false;
    }
    size_t digits = (size_t)(*at - begin);
    if (**at == '.') {
        *at += 1;
        const char *after = *at;
        read_fraction(at, &fraction, &scale);
        digits += (size_t)(*at - after);
    }
    const struct unit *unit = digits > 0 ? read_unit(at) : NULL;
    if (unit == NULL || whole > INT64_MAX / unit->ns) {
        return false;
    }
    /* In this order, and cut instead of rounded, as the reference's library does. */
    uint64_t part = (uint64_t)((double)fraction * ((double)unit->ns / scale));
    uint64_t term = whole * unit->ns + part;
    if (term > (uint64_t)INT64_MAX - *total) {
        return false;
    }
    *total += term;
    return true;
}

pollen_err pln_duration_parse(const char *text, int64_t *ret_ns) {
    bool negative = text[0] == '-';
    const char *at = text + (text[0] == '-' || text[0] == '+');
    uint64_t total = 0;
    if (strcmp(at, "0") == 0) {
        *ret_ns = 0;
        return POLLEN_OK;
    }
    if (*at == '\0') {
        return POLLEN_EINVAL;
    }
    while (*at != '\0') {
        if (!read_term(&at, &total)) {
            return POLLEN_EINVAL;
        }
    }
    *ret_ns = negative ? -(int64_t)total : (int64_t)total;
    return POLLEN_OK;
}

char *pln_duration_format(int64_t seconds, char text[PLN_DURATION_TEXT_BYTES]) {
    PLN_ASSERT(seconds >= 0);
    int64_t h = seconds / 3600;
    int64_t m = seconds / 60 % 60;
    int64_t s = seconds % 60;
    if (h > 0) {
        (void)snprintf(text, PLN_DURATION_TEXT_BYTES, "%" PRId64 "h%" PRId64 "m%" PRId64 "s", h, m,
                       s);
    } else if (m > 0) {
        (void)snprintf(text, PLN_DURATION_TEXT_BYTES, "%" PRId64 "m%" PRId64 "s", m, s);
    } else {
        (void)snprintf(text, PLN_DURATION_TEXT_BYTES, "%" PRId64 "s", s);
    }
    return text;
}

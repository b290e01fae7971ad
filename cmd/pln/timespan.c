/* SPDX-License-Identifier: Apache-2.0 */
#include "pln/timespan.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#define TIMESPAN_MS_MAX (100LL * 366 * 86400 * 1000)

typedef struct unit {
    const char *name;
    double ms;
} unit;

/* "ms" before "m": the longer name must win. */
static const unit units[] = {
    {"ms", 1}, {"us", 1e-3}, {"d", 86400e3}, {"h", 3600e3}, {"m", 60e3}, {"s", 1e3},
};

static bool is_digit(char c) {
    return c >= '0' && c <= '9';
}

/* Reads "12" or "1.5"; NULL when there is no digit. */
static const char *read_number(const char *at, double *ret) {
    double value = 0;
    double scale = 1;
    bool any = false;
    for (; is_digit(*at); at++) {
        value = value * 10 + (*at - '0');
        any = true;
    }
    if (*at == '.') {
        for (at++; is_digit(*at); at++) {
            scale /= 10;
            value += scale * (*at - '0');
            any = true;
        }
    }
    *ret = value;
    return any ? at : NULL;
}

static const unit *find_unit(const char *at) {
    for (size_t i = 0; i < sizeof units / sizeof units[0]; i++) {
        if (strncmp(at, units[i].name, strlen(units[i].name)) == 0) {
            return &units[i];
        }
    }
    return NULL;
}

pollen_err pln_timespan_parse(const char *text, int64_t *ret_ms) {
    if (strcmp(text, "0") == 0) {
        *ret_ms = 0;
        return POLLEN_OK;
    }
    double total = 0;
    const char *at = text;
    do {
        double value;
        at = read_number(at, &value);
        const unit *u = at == NULL ? NULL : find_unit(at);
        if (u == NULL) {
            return POLLEN_EINVAL;
        }
        at += strlen(u->name);
        total += value * u->ms;
        if (total > (double)TIMESPAN_MS_MAX) {
            return POLLEN_EINVAL;
        }
    } while (*at != '\0');
    *ret_ms = (int64_t)(total + 0.5);
    return POLLEN_OK;
}

char *pln_timespan_format(int64_t ms, char *text) {
    const size_t cap = PLN_TIMESPAN_TEXT_BYTES;
    const long long s = ms / 1000;
    if (ms < 0) {
        snprintf(text, cap, "0s");
    } else if (s == 0) {
        snprintf(text, cap, "%lldms", (long long)ms);
    } else if (s < 60) {
        snprintf(text, cap, "%llds", s);
    } else if (s < 3600) {
        snprintf(text, cap, "%lldm%llds", s / 60, s % 60);
    } else if (s < 86400) {
        snprintf(text, cap, "%lldh%lldm", s / 3600, s / 60 % 60);
    } else {
        snprintf(text, cap, "%lldd%lldh", s / 86400, s / 3600 % 24);
    }
    return text;
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "pln/out.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

char *pln_json_line(const json_t *object) {
    /* Six digits: a round trip to the microsecond, without the noise of a double's last digits. */
    return json_dumps(object, JSON_COMPACT | JSON_REAL_PRECISION(6));
}

bool pln_out_json(json_t *object) {
    char *line = object == NULL ? NULL : pln_json_line(object);
    json_decref(object);
    if (line == NULL) {
        return false;
    }
    const bool ok = puts(line) >= 0 && fflush(stdout) == 0;
    free(line);
    return ok;
}

json_t *pln_json_time_ms(int64_t unix_ms) {
    const time_t seconds = (time_t)(unix_ms / 1000);
    const int ms = (int)(unix_ms % 1000);
    struct tm tm;
    char text[64];
    if (unix_ms < 0 || gmtime_r(&seconds, &tm) == NULL || tm.tm_year > 9999 - 1900) {
        return json_null();
    }
    const size_t used = strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%S", &tm);
    if (ms != 0) {
        snprintf(text + used, sizeof text - used, ".%03dZ", ms);
    } else {
        snprintf(text + used, sizeof text - used, "Z");
    }
    return json_string(text);
}

bool pln_time_parse(const char *text, int64_t *ret_unix_ms) {
    struct tm tm = {0};
    const char *rest = strptime(text, "%Y-%m-%dT%H:%M:%S", &tm);
    if (rest == NULL) {
        return false;
    }
    int64_t ms = 0;
    if (*rest == '.') {
        int64_t scale = 100;
        for (rest++; *rest >= '0' && *rest <= '9'; rest++) {
            ms += scale * (*rest - '0');
            scale /= 10;
        }
    }
    if (rest[0] != 'Z' || rest[1] != '\0') {
        return false;
    }
    *ret_unix_ms = (int64_t)timegm(&tm) * 1000 + ms;
    return true;
}

bool pln_out_is_terminal(void) {
    return isatty(STDOUT_FILENO) == 1;
}

bool pln_out_has_color(void) {
    const char *no_color = pln_env("NO_COLOR");
    return pln_out_is_terminal() && (no_color == NULL || no_color[0] == '\0');
}

char *pln_env(const char *name) {
    return getenv(name); /* NOLINT(concurrency-mt-unsafe): nobody changes the environment. */
}

const char *pln_json_text(const json_t *object, const char *key, const char *otherwise) {
    const char *text = json_string_value(json_object_get(object, key));
    return text == NULL ? otherwise : text;
}

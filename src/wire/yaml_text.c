/* SPDX-License-Identifier: Apache-2.0 */
#include "wire/yaml_text.h"

#include <string.h>

#include "wire/utf8.h"

/* ---- Texts that a reader would take for something else --------------------------------------- */

/* YAML 1.1 and 1.2 together, because the reference's reader knows the words of both. */
static bool is_word(const char *text) {
    static const char *const words[] = {
        "",      "~",     "null", "Null", "NULL", "true",  "True",  "TRUE",  "false",
        "False", "FALSE", "y",    "Y",    "yes",  "Yes",   "YES",   "n",     "N",
        "no",    "No",    "NO",   "on",   "On",   "ON",    "off",   "Off",   "OFF",
        "<<",    "=",     ".inf", ".Inf", ".INF", "+.inf", "+.Inf", "+.INF", "-.inf",
        "-.Inf", "-.INF", ".nan", ".NaN", ".NAN",
    };
    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
        if (strcmp(text, words[i]) == 0) {
            return true;
        }
    }
    return false;
}

static const char *skip_sign(const char *at) {
    return *at == '+' || *at == '-' ? at + 1 : at;
}

static const char *skip_set(const char *at, const char *set) {
    return at + strspn(at, set);
}

#define DIGITS "0123456789"

/* 0x1f, 0o17, 0b11, with underscores anywhere. */
static bool is_based_int(const char *text) {
    static const char *const forms[][2] = {
        {"xX", "0123456789abcdefABCDEF_"}, {"oO", "01234567_"}, {"bB", "01_"}};
    const char *at = skip_sign(text);
    if (at[0] != '0' || at[1] == '\0') {
        return false;
    }
    for (size_t i = 0; i < 3; i++) {
        if (strchr(forms[i][0], at[1]) != NULL) {
            return at[2] != '\0' && *skip_set(at + 2, forms[i][1]) == '\0';
        }
    }
    return false;
}

/* An integer or a float: [sign] digits [. digits] [e [sign] digits], with underscores. */
static bool is_decimal(const char *text) {
    const char *at = skip_sign(text);
    const char *begin = at;
    at = skip_set(at, DIGITS "_");
    if (*at == '.') {
        at = skip_set(at + 1, DIGITS "_");
    }
    if (begin + strcspn(begin, DIGITS) >= at) {
        return false;
    }
    if (*at == 'e' || *at == 'E') {
        const char *exponent = skip_sign(at + 1);
        at = skip_set(exponent, DIGITS);
        return at > exponent && *at == '\0';
    }
    return *at == '\0';
}

/* YAML 1.1 has numbers to the base 60: 1:30:00. */
static bool is_sexagesimal(const char *text) {
    const char *at = skip_sign(text);
    if (strspn(at, DIGITS) == 0) {
        return false;
    }
    at = skip_set(at, DIGITS "_");
    if (*at != ':') {
        return false;
    }
    while (*at == ':') {
        size_t digits = strspn(at + 1, DIGITS);
        if (digits == 0 || digits > 2 || (digits == 2 && at[1] > '5')) {
            return false;
        }
        at += 1 + digits;
    }
    if (*at == '.') {
        at = skip_set(at + 1, DIGITS "_");
    }
    return *at == '\0';
}

/* A date, with or without a time behind it. */
static bool is_time(const char *text) {
    const char *at = text;
    if (strspn(at, DIGITS) != 4 || at[4] != '-') {
        return false;
    }
    at = skip_set(at + 5, DIGITS);
    if (*at != '-') {
        return false;
    }
    size_t digits = strspn(at + 1, DIGITS);
    at += 1 + digits;
    return digits > 0 && (*at == '\0' || strchr("tT ", *at) != NULL);
}

static bool is_ambiguous(const char *text) {
    return is_word(text) || is_based_int(text) || is_decimal(text) || is_sexagesimal(text) ||
           is_time(text);
}

/* ---- Plain, single or double quotes ---------------------------------------------------------- */

static bool is_printable(const char *text) {
    const uint8_t *bytes = (const uint8_t *)text;
    size_t size = strlen(text);
    for (size_t at = 0; at < size;) {
        uint32_t code;
        size_t count = pln_utf8_next(bytes + at, size - at, &code);
        bool control = code < 0x20 || (code >= 0x7f && code < 0xa0) || code == 0x2028 ||
                       code == 0x2029 || code == 0xfeff || code >= 0xfffe;
        if (count == 0 || control) {
            return false;
        }
        at += count;
    }
    return true;
}

/* Whether a printable text can stand without quotes, in block and flow style. */
static bool is_plain(const char *text) {
    size_t size = strlen(text);
    if (strchr("-?:,[]{}#&*!|>'\"%@` ", text[0]) != NULL || text[size - 1] == ' ' ||
        strncmp(text, "---", 3) == 0 || strncmp(text, "...", 3) == 0) {
        return false;
    }
    for (size_t i = 1; i < size; i++) {
        bool ends = i + 1 == size || text[i + 1] == ' ';
        if (strchr(",?[]{}", text[i]) != NULL || (text[i] == ':' && ends) ||
            (text[i] == '#' && text[i - 1] == ' ')) {
            return false;
        }
    }
    return true;
}

static void put_single_quoted(pln_out *out, const char *text) {
    pln_out_text(out, "'");
    for (const char *at = text; *at != '\0'; at++) {
        pln_out_put(out, at, 1);
        if (*at == '\'') {
            pln_out_put(out, at, 1);
        }
    }
    pln_out_text(out, "'");
}

static void put_escaped(pln_out *out, const uint8_t *bytes, size_t count, uint32_t code) {
    if (count == 0) {
        pln_out_printf(out, "\\x%02X", (unsigned)bytes[0]);
    } else if (code == '"' || code == '\\') {
        pln_out_printf(out, "\\%c", (int)code);
    } else if (code < 0x20 || (code >= 0x7f && code < 0xa0)) {
        pln_out_printf(out, "\\x%02X", (unsigned)code);
    } else if (code == 0x2028 || code == 0x2029 || code == 0xfeff || code == 0xfffe ||
               code == 0xffff) {
        pln_out_printf(out, "\\u%04X", (unsigned)code);
    } else {
        pln_out_put(out, bytes, count);
    }
}

static void put_double_quoted(pln_out *out, const char *text) {
    const uint8_t *bytes = (const uint8_t *)text;
    size_t size = strlen(text);
    pln_out_text(out, "\"");
    for (size_t at = 0; at < size;) {
        uint32_t code = 0;
        size_t count = pln_utf8_next(bytes + at, size - at, &code);
        put_escaped(out, bytes + at, count, code);
        at += count > 0 ? count : 1;
    }
    pln_out_text(out, "\"");
}

void pln_yaml_put_scalar(pln_out *out, const char *text) {
    if (is_ambiguous(text) || !is_printable(text)) {
        put_double_quoted(out, text);
    } else if (is_plain(text)) {
        pln_out_text(out, text);
    } else {
        put_single_quoted(out, text);
    }
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "pln/report.h"

#include <stdarg.h>
#include <stdio.h>

#include "pln/out.h"

enum { MESSAGE_BYTES = 512 };

static const char *const names[] = {[PLN_PASS] = "pass", [PLN_WARN] = "warn", [PLN_FAIL] = "fail"};

void pln_report_init(pln_report *report, const pln_cli *cli) {
    *report = (pln_report){.cli = cli, .checks = json_array()};
}

void pln_report_fini(pln_report *report) {
    json_decref(report->checks);
    *report = (pln_report){0};
}

void pln_report_add(pln_report *report, pln_finding finding, const char *format, ...) {
    char message[MESSAGE_BYTES];
    char fix[PLN_HINT_BYTES];
    va_list args;
    va_start(args, format);
    vsnprintf(message, sizeof message, format, args);
    va_end(args);
    report->counts[finding.verdict]++;
    json_array_append_new(report->checks,
                          json_pack("{s:s, s:s, s:s?, s:s, s:s?}", "check", finding.check, "result",
                                    names[finding.verdict], "peer", finding.peer, "message",
                                    message, "fix", pln_hint_text(report->cli, finding.fix, fix)));
}

pln_verdict pln_report_verdict(const pln_report *report) {
    return report->counts[PLN_FAIL] > 0   ? PLN_FAIL
           : report->counts[PLN_WARN] > 0 ? PLN_WARN
                                          : PLN_PASS;
}

json_t *pln_report_json(const pln_report *report) {
    return json_pack("{s:s, s:s, s:O}", "schema", "pollen.doctor/1", "verdict",
                     names[pln_report_verdict(report)], "checks", report->checks);
}

static void print_check(const json_t *check) {
    static const struct {
        const char *word;
        const char *color;
    } marks[] = {{"PASS", "\033[32m"}, {"WARN", "\033[33m"}, {"FAIL", "\033[31m"}};
    const char *result = pln_json_text(check, "result", "fail");
    const char *peer = pln_json_text(check, "peer", NULL);
    const char *fix = pln_json_text(check, "fix", NULL);
    const size_t i = result[0] == 'p' ? PLN_PASS : result[0] == 'w' ? PLN_WARN : PLN_FAIL;
    const bool colored = pln_out_has_color();
    printf("%s%s%s  %-12.12s  %s\n", colored ? marks[i].color : "", marks[i].word,
           colored ? "\033[0m" : "", peer != NULL ? peer : pln_json_text(check, "check", "?"),
           pln_json_text(check, "message", "?"));
    if (fix != NULL) {
        printf("      %-12s  fix: %s\n", "", fix);
    }
}

void pln_report_print(const pln_report *report) {
    const json_t *check;
    size_t i;
    json_array_foreach(report->checks, i, check) {
        print_check(check);
    }
}

/* SPDX-License-Identifier: Apache-2.0 */
/* The doctor looks at the state directory, the clock, and the port that a daemon would take. */
#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <pollen/admission.h>

#include "pln/doctor.h"
#include "pln/out.h"
#include "pln/status.h"
#include "pln/timespan.h"
#include "run/last_error.h"
#include "run/statedir.h"

enum { FIX_BYTES = PLN_CLI_PATH_BYTES + 64 };
enum { CLOCK_SLACK_S = 120 };

#define FIX_MEMBERSHIP "pln join TOKEN   (or, for a new cluster, pln init)"
#define FIX_NEW_INVITE "pln join TOKEN   (of a new `pln invite` on an admin)"

static pln_finding finding(pln_verdict verdict, const char *check, const char *fix) {
    return (pln_finding){.verdict = verdict, .check = check, .fix = fix};
}

/* ---- Modes ----------------------------------------------------------------------------------- */

typedef struct rule {
    const char *name; /* "": the directory itself. */
    mode_t refused;   /* Any of these, and the daemon refuses to start. */
    mode_t unwanted;
} rule;

static const rule rules[] = {
    {"", S_IWOTH, S_IRWXG | S_IROTH | S_IXOTH},
    {"keys", S_IWOTH, S_IWGRP | S_IROTH | S_IXOTH},
    {"keys/ed25519.key", S_IRWXG | S_IRWXO, 0},
    {"keys/admin_ed25519.key", S_IRWXG | S_IRWXO, 0},
    {"keys/cluster.trust.pb", S_IWGRP | S_IWOTH, 0},
    {"keys/membership.cert.pb", S_IWGRP | S_IWOTH, 0},
    {"config.yaml", S_IWGRP | S_IWOTH, 0},
    {"state.yaml", S_IWGRP | S_IWOTH, 0},
};

/* What is not there is for other checks. */
static pln_verdict check_rule(pln_doctor *doctor, const rule *r, const char *fix) {
    char path[PLN_CLI_PATH_BYTES];
    struct stat st;
    if (pln_statedir_path(doctor->cli->dir, r->name, path) != POLLEN_OK || lstat(path, &st) != 0) {
        return PLN_PASS;
    }
    const unsigned mode = st.st_mode & 07777;
    if (st.st_uid != geteuid() && st.st_uid != 0) {
        pln_report_add(&doctor->report, finding(PLN_FAIL, "directory", NULL),
                       "%s belongs to another user", path);
        return PLN_FAIL;
    }
    if ((mode & r->refused) != 0) {
        pln_report_add(&doctor->report, finding(PLN_FAIL, "directory", fix),
                       "%s has mode %04o, which is too wide: no daemon starts so", path, mode);
        return PLN_FAIL;
    }
    if ((mode & r->unwanted) != 0) {
        pln_report_add(&doctor->report, finding(PLN_WARN, "directory", fix),
                       "%s has mode %04o: others may look in", path, mode);
        return PLN_WARN;
    }
    return PLN_PASS;
}

static bool check_directory(pln_doctor *doctor) {
    char fix[FIX_BYTES];
    struct stat st;
    const char *dir = doctor->cli->dir;
    const int err = stat(dir, &st) != 0 ? errno : S_ISDIR(st.st_mode) ? 0 : ENOTDIR;
    if (err == ENOENT) {
        pln_report_add(&doctor->report, finding(PLN_FAIL, "directory", FIX_MEMBERSHIP),
                       "%s is not there: nothing is set up yet", dir);
        return false;
    }
    if (err != 0) {
        pln_report_add(&doctor->report, finding(PLN_FAIL, "directory", NULL), "%s: %s", dir,
                       pln_errno_text(err));
        return false;
    }
    if (st.st_uid != geteuid() && st.st_uid != 0) {
        snprintf(fix, sizeof fix, "sudo -u '#%u' pln --dir '%s' doctor", (unsigned)st.st_uid, dir);
        pln_report_add(&doctor->report, finding(PLN_WARN, "directory", fix),
                       "%s belongs to another user, who alone can look into it", dir);
        return false;
    }
    snprintf(fix, sizeof fix, "chmod -R u=rwX,g=,o= '%s'", dir);
    pln_verdict worst = PLN_PASS;
    for (size_t i = 0; i < sizeof rules / sizeof rules[0]; i++) {
        const pln_verdict verdict = check_rule(doctor, &rules[i], fix);
        worst = verdict > worst ? verdict : worst;
    }
    if (worst == PLN_PASS) {
        pln_report_add(&doctor->report, finding(PLN_PASS, "directory", NULL),
                       "%s is this user's alone", dir);
    }
    return true;
}

/* ---- Key, certificate, settings -------------------------------------------------------------- */

static const char *reason(pollen_err err) {
    const char *detail = pollen_last_error();
    return detail[0] != '\0' ? detail : pollen_strerror(err);
}

static void tell_cert(pln_doctor *doctor, const pollen_cert_info *cert) {
    char span[PLN_TIMESPAN_TEXT_BYTES];
    const char *health = pln_cert_health(cert, doctor->now);
    const int64_t left_ms = (cert->not_after - doctor->now) * 1000;
    const char *renewable = cert->renewable ? "renewable" : "not renewable";
    if (left_ms <= 0) {
        pln_report_add(&doctor->report, finding(PLN_FAIL, "certificate", FIX_NEW_INVITE),
                       "ended %s ago: peers refuse this node", pln_timespan_format(-left_ms, span));
    } else if (strcmp(health, "expiring_soon") == 0) {
        pln_report_add(&doctor->report, finding(PLN_WARN, "certificate", FIX_NEW_INVITE),
                       "ends in %s, %s", pln_timespan_format(left_ms, span), renewable);
    } else {
        pln_report_add(&doctor->report, finding(PLN_PASS, "certificate", NULL), "%s, %s left, %s",
                       health, pln_timespan_format(left_ms, span), renewable);
    }
    if (doctor->now < cert->not_before) {
        pln_report_add(&doctor->report,
                       finding(PLN_FAIL, "clock", "timedatectl set-ntp true   (or set the clock)"),
                       "this node's certificate begins %s from now: the clock is behind",
                       pln_timespan_format((cert->not_before - doctor->now) * 1000, span));
    }
}

static void check_membership(pln_doctor *doctor) {
    pollen_credentials *credentials = NULL;
    pollen_cert_info cert;
    pln_last_error_clear();
    const pollen_err err = pollen_credentials_load(doctor->cli->dir, &credentials);
    if (err == POLLEN_ENOENT) {
        pln_report_add(&doctor->report, finding(PLN_FAIL, "key", FIX_MEMBERSHIP),
                       "there is no node key yet");
    } else if (err != POLLEN_OK) {
        pln_report_add(&doctor->report, finding(PLN_FAIL, "key", NULL), "%s", reason(err));
    } else {
        char id[POLLEN_KEY_HEX_BYTES];
        const pollen_key key = pollen_credentials_key(credentials);
        pln_report_add(&doctor->report, finding(PLN_PASS, "key", NULL), "%s",
                       pollen_key_hex(&key, id));
        if (pollen_credentials_cert(credentials, &cert) == POLLEN_OK) {
            tell_cert(doctor, &cert);
        } else {
            pln_report_add(&doctor->report, finding(PLN_FAIL, "certificate", FIX_MEMBERSHIP),
                           "this node is a member of no cluster");
        }
    }
    pollen_credentials_destroy(credentials);
}

static void check_config(pln_doctor *doctor) {
    pln_last_error_clear();
    const pollen_err err = pln_statedir_load_config(doctor->cli->dir, &doctor->config);
    doctor->has_config = err == POLLEN_OK;
    if (err == POLLEN_OK) {
        pln_report_add(&doctor->report, finding(PLN_PASS, "config", NULL),
                       "config.yaml reads well");
    } else {
        pln_report_add(&doctor->report, finding(PLN_FAIL, "config", NULL), "%s", reason(err));
    }
}

/* ---- The clock ------------------------------------------------------------------------------- */

/* What was written here is not later than now, unless the clock went back. */
static int64_t newest_write(const char *dir) {
    int64_t newest = 0;
    DIR *stream = opendir(dir);
    /* NOLINTNEXTLINE(concurrency-mt-unsafe): the stream is this function's own. */
    for (struct dirent *entry; stream != NULL && (entry = readdir(stream)) != NULL;) {
        struct stat st;
        if (fstatat(dirfd(stream), entry->d_name, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
            st.st_mtim.tv_sec > newest) {
            newest = st.st_mtim.tv_sec;
        }
    }
    if (stream != NULL) {
        closedir(stream);
    }
    return newest;
}

static void check_clock(pln_doctor *doctor) {
    char span[PLN_TIMESPAN_TEXT_BYTES];
    const int64_t ahead = newest_write(doctor->cli->dir) - doctor->now;
    if (ahead > CLOCK_SLACK_S) {
        pln_report_add(&doctor->report,
                       finding(PLN_WARN, "clock", "timedatectl set-ntp true   (or set the clock)"),
                       "files here were written %s from now: the clock went back",
                       pln_timespan_format(ahead * 1000, span));
    } else {
        pln_report_add(&doctor->report, finding(PLN_PASS, "clock", NULL),
                       "later than whatever was written here");
    }
}

void pln_doctor_check_files(pln_doctor *doctor) {
    if (check_directory(doctor)) {
        check_membership(doctor);
        check_config(doctor);
        check_clock(doctor);
    }
}

/* ---- The port, where no daemon runs ---------------------------------------------------------- */

void pln_doctor_check_free_port(pln_doctor *doctor) {
    const struct sockaddr_in6 any = {.sin6_family = AF_INET6,
                                     .sin6_port = htons(POLLEN_PORT_DEFAULT)};
    const int fd = socket(AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd < 0) {
        return;
    }
    if (bind(fd, (const struct sockaddr *)&any, sizeof any) != 0 && errno == EADDRINUSE) {
        pln_report_add(&doctor->report, finding(PLN_WARN, "port", "pln up --port 0"),
                       "UDP port %d, the default, is in use by another program",
                       POLLEN_PORT_DEFAULT);
    } else {
        pln_report_add(&doctor->report, finding(PLN_PASS, "port", NULL),
                       "UDP port %d, the default, is free", POLLEN_PORT_DEFAULT);
    }
    close(fd);
}

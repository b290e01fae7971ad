/* SPDX-License-Identifier: Apache-2.0 */
/* A daemon that is its own admin renews its certificate by itself, also one that has run out. */
#include "support/temp_dir.h"

#include <poll.h>

#include "auth/signer.h"
#include "pln/daemon.h"
#include "run/clock.h"
#include "run/random.h"
#include "run/statedir.h"

enum { WAIT_MS = 60000, TICK_MS = 20, DAY = 86400, YEAR = 365 * DAY };

typedef struct root {
    temp_dir dir;
    pln_credentials first; /* What it starts with. */
} root;

/* A root whose own certificate was issued that long ago, for so long. */
static void root_init(root *r, int64_t ago, int64_t ttl) {
    const pln_rng rng = pln_os_rng();
    pollen_seed node, admin;
    temp_dir_init(&r->dir);
    pln_rng_fill(&rng, node.bytes, sizeof(node.bytes));
    pln_rng_fill(&rng, admin.bytes, sizeof(admin.bytes));
    pln_credentials_init(&r->first, &node);
    assert_int_equal(
        pln_credentials_create_root(&r->first, &admin, YEAR, ttl, &rng, pln_clock_wall() - ago),
        POLLEN_OK);
    assert_int_equal(pln_statedir_save_credentials(r->dir.path, &r->first), POLLEN_OK);
}

static void root_fini(root *r) {
    pln_credentials_fini(&r->first);
    temp_dir_fini(&r->dir);
}

static bool is_renewed(const root *r, int64_t ttl) {
    pln_credentials now = {.enrolled = false};
    assert_int_equal(pln_statedir_load_credentials(r->dir.path, pln_clock_wall(), &now), POLLEN_OK);
    const pln_member_cert *cert = &now.member_cert;
    const bool renewed = cert->serial != r->first.member_cert.serial;
    if (renewed) {
        assert_true(cert->not_after > r->first.member_cert.not_after);
        assert_int_equal(pln_cert_life(cert->not_before, cert->not_after), ttl);
        assert_true(now.has_signer);
    }
    pln_credentials_fini(&now);
    return renewed;
}

static void expect_renewal(int64_t ago, int64_t ttl) {
    static pln_cli cli;
    static pln_daemon daemon;
    root r;
    root_init(&r, ago, ttl);
    cli = (pln_cli){.verb = NULL};
    assert_true(snprintf(cli.dir, sizeof(cli.dir), "%s", r.dir.path) < (int)sizeof(cli.dir));
    (void)temp_path(&r.dir, "pln.sock", cli.socket);
    const pln_daemon_options options = {.log_level = PLN_LOG_INFO};
    assert_int_equal(pln_daemon_start(&daemon, &cli, &options), PLN_EXIT_OK);
    int left = WAIT_MS / TICK_MS;
    while (!is_renewed(&r, ttl)) {
        assert_true(left-- > 0);
        (void)poll(NULL, 0, TICK_MS);
    }
    pln_daemon_stop(&daemon);
    root_fini(&r);
}

static void a_lone_root_does_not_run_out(void **state) {
    (void)state;
    expect_renewal(0, 3);                /* Once two of the three seconds are over. */
    expect_renewal(YEAR / 2, 270 * DAY); /* Now. */
}

static void one_that_was_off_for_too_long_comes_back(void **state) {
    (void)state;
    expect_renewal(30 * DAY, DAY);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_lone_root_does_not_run_out),
        cmocka_unit_test(one_that_was_off_for_too_long_comes_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

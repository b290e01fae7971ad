/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a mesh knows outlives it: state.yaml, through the public interface.  Where a process has to
 * die without a word it is a child, forked while this one has no threads.
 */
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/wait.h>

#include "../support/api_rig.h"
#include "../support/temp_dir.h"

enum { CAP = 16, TEXT = 64 * 1024 };

typedef struct fixture {
    rig r;
    temp_dir dir[RIG_NODES];
    char log[TEXT];
} fixture;

static int set_up(void **state) {
    fixture *f = calloc(1, sizeof(*f));
    assert_non_null(f);
    rig_init(&f->r, 0);
    for (size_t i = 0; i < RIG_NODES; i++) {
        temp_dir_init(&f->dir[i]);
    }
    *state = f;
    return 0;
}

static int tear_down(void **state) {
    fixture *f = *state;
    rig_fini(&f->r);
    for (size_t i = 0; i < RIG_NODES; i++) {
        temp_dir_fini(&f->dir[i]);
    }
    free(f);
    return 0;
}

static void take_log(void *context, int level, const char *line) {
    fixture *f = context;
    (void)level;
    const size_t at = strlen(f->log);
    (void)snprintf(f->log + at, sizeof(f->log) - at, "%s\n", line);
}

static pollen_err open_mesh(fixture *f, size_t i) {
    pollen_mesh_config config;
    pollen_mesh_config_init(&config);
    config.credentials = f->r.creds[i];
    config.gossip = true;
    config.state_dir = f->dir[i].path;
    config.log = take_log;
    config.log_context = f;
    const pollen_err err = pollen_mesh_create(&config, &f->r.mesh[i]);
    if (err == POLLEN_OK) {
        f->r.addr[i] = rig_loopback(pollen_mesh_listen_port(f->r.mesh[i]));
        assert_ok(pollen_mesh_advertise(f->r.mesh[i], &f->r.addr[i], 1));
    }
    return err;
}

static void start(fixture *f, size_t i) {
    assert_ok(open_mesh(f, i));
}

static void stop(fixture *f, size_t i) {
    pollen_mesh_destroy(f->r.mesh[i]);
    f->r.mesh[i] = NULL;
}

static char *read_state(const fixture *f, size_t i, char text[TEXT]) {
    text[temp_read(&f->dir[i], "state.yaml", text, TEXT - 1)] = '\0';
    return text;
}

static bool has_state(const fixture *f, size_t i) {
    char path[TEMP_PATH_BYTES];
    return access(temp_path(&f->dir[i], "state.yaml", path), F_OK) == 0;
}

/* Files beside state.yaml whose name begins with this one. */
static size_t count_kept(const fixture *f, size_t i, char name[256]) {
    size_t count = 0;
    DIR *dir = opendir(f->dir[i].path);
    assert_non_null(dir);
    for (struct dirent *entry; (entry = readdir(dir)) != NULL;) {
        if (strncmp(entry->d_name, "state.yaml.kept-", 16) == 0) {
            (void)snprintf(name, 256, "%s", entry->d_name);
            count++;
        }
    }
    closedir(dir);
    return count;
}

static bool is_revoked(fixture *f, size_t at, size_t who) {
    pollen_member members[CAP];
    const size_t count = pollen_mesh_members(f->r.mesh[at], members, CAP);
    for (size_t i = 0; i < count && i < CAP; i++) {
        if (memcmp(&members[i].key, &f->r.key[who], sizeof(pollen_key)) == 0) {
            return members[i].revoked;
        }
    }
    return false;
}

static pollen_err dial(fixture *f, size_t from, size_t to) {
    return pollen_mesh_connect(f->r.mesh[from], &f->r.key[to], &f->r.addr[to], 1, SOON_MS, NULL);
}

/* ---- Dying without a word -------------------------------------------------------------------- */

/* Runs act in a child that then kills itself: no handler, no destructor and no buffer survives. */
static void in_killed_child(fixture *f, void (*act)(fixture *f)) {
    int status;
    fflush(NULL);
    const pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        act(f);
        (void)raise(SIGKILL);
        _exit(1);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFSIGNALED(status));
    assert_int_equal(WTERMSIG(status), SIGKILL);
}

static void revoke_two(fixture *f) {
    start(f, 0);
    if (pollen_mesh_revoke(f->r.mesh[0], &f->r.key[2]) != POLLEN_OK) {
        _exit(2);
    }
}

static void test_a_revocation_outlives_a_kill_right_after_it(void **state) {
    fixture *f = *state;
    in_killed_child(f, revoke_two);
    start(f, 0);
    start(f, 2);
    assert_int_equal(dial(f, 0, 2), POLLEN_EREVOKED);
    assert_int_equal(dial(f, 2, 0), POLLEN_EDENIED);
}

/* Other changes are written together, many seconds apart. */
static void test_a_revocation_does_not_wait_its_turn(void **state) {
    fixture *f = *state;
    char text[TEXT];
    start(f, 0);
    const int64_t begin = rig_now_ms();
    assert_ok(pollen_mesh_revoke(f->r.mesh[0], &f->r.key[1]));
    assert_ok(pollen_mesh_revoke(f->r.mesh[0], &f->r.key[2]));
    assert_true(rig_now_ms() - begin < SOON_MS);
    const char *first = strstr(read_state(f, 0, text), "data: ");
    assert_non_null(first);
    assert_non_null(strstr(first + 1, "data: "));
}

/* Node 1 hears of it, and dies in the moment in which that shows. */
static void hear_and_die(fixture *f) {
    start(f, 0);
    start(f, 1);
    start(f, 2);
    if (dial(f, 1, 0) != POLLEN_OK || dial(f, 1, 2) != POLLEN_OK ||
        pollen_mesh_revoke(f->r.mesh[0], &f->r.key[2]) != POLLEN_OK) {
        _exit(2);
    }
    pollen_event event;
    do {
        if (pollen_mesh_next_event(f->r.mesh[1], SOON_MS, NULL, &event) != POLLEN_OK) {
            _exit(3);
        }
    } while (event.kind != POLLEN_EVENT_DISCONNECTED || event.reason != POLLEN_END_REVOKED);
}

static void test_a_revocation_that_took_effect_outlives_a_kill(void **state) {
    fixture *f = *state;
    in_killed_child(f, hear_and_die);
    start(f, 1);
    start(f, 2);
    assert_int_equal(dial(f, 1, 2), POLLEN_EREVOKED);
}

static void serve_and_wait(fixture *f) {
    const pollen_forward forward = {.provider = f->r.key[1], .remote_port = 1, .local_port = 2};
    start(f, 0);
    if (pollen_mesh_set_service(f->r.mesh[0], "web", 8080) != POLLEN_OK ||
        pollen_mesh_set_forward(f->r.mesh[0], &forward, true) != POLLEN_OK) {
        _exit(2);
    }
    const int64_t end = rig_now_ms() + 60000;
    while (!has_state(f, 0)) { /* Written behind. */
        pollen_event event;
        if (rig_now_ms() > end ||
            pollen_mesh_next_event(f->r.mesh[0], 20, NULL, &event) != POLLEN_ETIMEDOUT) {
            _exit(3);
        }
    }
}

static void test_a_change_is_saved_without_closing(void **state) {
    fixture *f = *state;
    pollen_service service;
    pollen_forward forward;
    in_killed_child(f, serve_and_wait);
    start(f, 0);
    assert_int_equal(pollen_mesh_services(f->r.mesh[0], &service, 1), 1);
    assert_string_equal(service.name, "web");
    assert_int_equal(service.port, 8080);
    assert_int_equal(pollen_mesh_forwards(f->r.mesh[0], &forward, 1), 1);
    assert_int_equal(forward.local_port, 2);
}

/* The thread that asks runs the mesh while the disk is at work. */
static void test_a_loop_of_the_embedder_s_own_saves_as_well(void **state) {
    fixture *f = *state;
    char text[TEXT];
    pollen_mesh_config config;
    pollen_mesh_config_init(&config);
    config.credentials = f->r.creds[0];
    config.gossip = true;
    config.external_loop = true;
    config.state_dir = f->dir[0].path;
    assert_ok(pollen_mesh_create(&config, &f->r.mesh[0]));
    assert_ok(pollen_mesh_revoke(f->r.mesh[0], &f->r.key[1]));
    assert_non_null(strstr(read_state(f, 0, text), "data: "));
    assert_ok(pollen_mesh_set_service(f->r.mesh[0], "web", 80));
    stop(f, 0);
    assert_non_null(strstr(read_state(f, 0, text), "name: web"));
}

/* ---- Closing and coming back ----------------------------------------------------------------- */

static void test_closing_saves_what_changed_last(void **state) {
    fixture *f = *state;
    char text[TEXT];
    start(f, 0);
    assert_ok(pollen_mesh_set_service(f->r.mesh[0], "late", 99));
    stop(f, 0);
    assert_non_null(strstr(read_state(f, 0, text), "name: late"));
    assert_int_equal(temp_mode(&f->dir[0], "state.yaml"), 0640);
}

static void test_what_did_not_change_is_not_written(void **state) {
    fixture *f = *state;
    start(f, 0);
    stop(f, 0);
    assert_false(has_state(f, 0));
}

/* Without being told of it, or knowing any peer but by its file. */
static void test_members_find_each_other_again(void **state) {
    fixture *f = *state;
    start(f, 0);
    start(f, 1);
    assert_ok(dial(f, 1, 0));
    pollen_member members[CAP];
    const int64_t end = rig_now_ms() + 3 * SOON_MS;
    for (bool known = false; !known;) {
        const size_t count = pollen_mesh_members(f->r.mesh[1], members, CAP);
        for (size_t i = 0; i < count; i++) {
            known = known || (members[i].addr_count > 0 &&
                              memcmp(&members[i].key, &f->r.key[0], sizeof(pollen_key)) == 0);
        }
        assert_true(rig_now_ms() < end);
        pollen_event event;
        const pollen_err err = pollen_mesh_next_event(f->r.mesh[1], 5, NULL, &event);
        assert_true(err == POLLEN_OK || err == POLLEN_ETIMEDOUT);
    }
    stop(f, 1);
    start(f, 1);
    rig_wait_event(f->r.mesh[1], POLLEN_EVENT_CONNECTED, &f->r.key[0], NULL);
}

/* ---- Files that are not as they should be ---------------------------------------------------- */

static void test_a_torn_file_is_kept_aside_and_its_revocations_hold(void **state) {
    fixture *f = *state;
    char text[TEXT], kept[256], again[TEXT];
    start(f, 0);
    assert_ok(pollen_mesh_revoke(f->r.mesh[0], &f->r.key[2]));
    assert_ok(pollen_mesh_set_service(f->r.mesh[0], "web", 80));
    stop(f, 0);
    const size_t size = strlen(read_state(f, 0, text));
    memcpy(text + size, "services: [\0\0\0", 14);
    temp_write(&f->dir[0], "state.yaml", text, size + 14, 0640);
    start(f, 0);
    start(f, 2);
    assert_int_equal(dial(f, 0, 2), POLLEN_EREVOKED);
    assert_int_equal(count_kept(f, 0, kept), 1);
    assert_non_null(strstr(f->log, "what can be read is taken"));
    assert_non_null(strstr(f->log, kept));
    assert_int_equal(temp_read(&f->dir[0], kept, again, TEXT), size + 14);
    assert_memory_equal(again, text, size + 14);
    stop(f, 0);
    assert_non_null(strstr(read_state(f, 0, again), "data: "));
    f->log[0] = '\0';
    start(f, 0); /* It has been made whole. */
    assert_int_equal(count_kept(f, 0, kept), 1);
    assert_null(strstr(f->log, "state.yaml"));
}

static void test_the_file_of_another_node_gives_its_revocations_and_not_its_services(void **state) {
    fixture *f = *state;
    char text[TEXT], kept[256];
    pollen_service services[CAP];
    const pollen_forward forward = {.provider = f->r.key[1], .remote_port = 1, .local_port = 2};
    start(f, 0);
    assert_ok(pollen_mesh_revoke(f->r.mesh[0], &f->r.key[2]));
    assert_ok(pollen_mesh_set_service(f->r.mesh[0], "web", 80));
    assert_ok(pollen_mesh_set_forward(f->r.mesh[0], &forward, true));
    stop(f, 0);
    temp_write(&f->dir[1], "state.yaml", text, strlen(read_state(f, 0, text)), 0640);
    f->log[0] = '\0';
    start(f, 1);
    start(f, 2);
    assert_int_equal(dial(f, 1, 2), POLLEN_EREVOKED);
    assert_int_equal(pollen_mesh_forwards(f->r.mesh[1], NULL, 0), 0);
    assert_int_equal(pollen_mesh_services(f->r.mesh[1], services, CAP), 1);
    assert_memory_equal(&services[0].provider, &f->r.key[0], sizeof(pollen_key));
    assert_int_equal(count_kept(f, 1, kept), 1);
    assert_non_null(strstr(f->log, "another node"));
}

static void test_revocations_of_another_cluster_are_refused_and_kept_aside(void **state) {
    fixture *f = *state;
    char text[TEXT], kept[256];
    start(f, 0);
    assert_ok(pollen_mesh_revoke(f->r.mesh[0], &f->r.key[2]));
    stop(f, 0);
    pollen_credentials *foreign = rig_root();
    pollen_credentials *own = f->r.creds[1];
    f->r.creds[1] = foreign;
    temp_write(&f->dir[1], "state.yaml", text, strlen(read_state(f, 0, text)), 0640);
    f->log[0] = '\0';
    start(f, 1);
    assert_false(is_revoked(f, 1, 2));
    assert_int_equal(count_kept(f, 1, kept), 1);
    assert_non_null(strstr(f->log, "root of this cluster"));
    stop(f, 1);
    f->r.creds[1] = own;
    pollen_credentials_destroy(foreign);
}

/* ---- The reference's directories ------------------------------------------------------------- */

static void copy_file(const temp_dir *to, const char *from, const char *name) {
    char path[TEMP_PATH_BYTES];
    char bytes[TEXT];
    (void)snprintf(path, sizeof(path), "%s/statedir/%s/%s", POLLEN_TEST_VECTORS, from, name);
    FILE *file = fopen(path, "rb");
    if (file == NULL) {
        return; /* Not everybody has every file. */
    }
    const size_t size = fread(bytes, 1, sizeof(bytes), file);
    assert_int_equal(fclose(file), 0);
    temp_write(to, name, bytes, size, 0600);
}

/* Copies what a daemon of the reference left, all files of a member with its state. */
static void copy_reference(const temp_dir *to, const char *from) {
    static const char *const names[] = {"state.yaml",
                                        "keys/ed25519.key",
                                        "keys/ed25519.pub",
                                        "keys/cluster.trust.pb",
                                        "keys/admin.cert.pb",
                                        "keys/admin_ed25519.key",
                                        "keys/admin_ed25519.pub",
                                        "keys/membership.cert.pb"};
    char path[TEMP_PATH_BYTES];
    assert_int_equal(mkdir(temp_path(to, "keys", path), 0700), 0);
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        copy_file(to, from, names[i]);
    }
}

static void test_a_directory_of_the_reference_is_taken_as_it_is(void **state) {
    fixture *f = *state;
    static const char *const dirs[] = {"node", "root", "relay"};
    char before[TEXT], after[TEXT], kept[256];
    pollen_member members[CAP];
    for (size_t i = 0; i < RIG_NODES; i++) {
        pollen_credentials *own = f->r.creds[i];
        copy_reference(&f->dir[i], dirs[i]);
        read_state(f, i, before);
        assert_ok(pollen_credentials_load(f->dir[i].path, &f->r.creds[i]));
        start(f, i);
        const size_t count = pollen_mesh_members(f->r.mesh[i], members, CAP);
        size_t revoked = 0;
        for (size_t k = 0; k < count; k++) {
            revoked += members[k].revoked ? 1 : 0;
        }
        assert_in_range(count, 3, CAP);
        assert_int_equal(revoked, 1);
        assert_true(pollen_mesh_services(f->r.mesh[i], NULL, 0) > 0);
        stop(f, i);
        assert_int_equal(count_kept(f, i, kept), 0);
        assert_string_equal(read_state(f, i, after), before); /* Nothing changed meanwhile. */
        pollen_credentials_destroy(f->r.creds[i]);
        f->r.creds[i] = own;
    }
    assert_null(strstr(f->log, "state.yaml"));
}

static void test_an_unsafe_file_is_an_error_and_stays(void **state) {
    fixture *f = *state;
    char text[TEXT];
    temp_write(&f->dir[0], "state.yaml", "local:\n", 7, 0666);
    assert_int_equal(open_mesh(f, 0), POLLEN_EMODE);
    assert_non_null(strstr(pollen_last_error(), "state.yaml"));
    assert_string_equal(read_state(f, 0, text), "local:\n");
}

static void test_an_empty_file_is_told_of(void **state) {
    fixture *f = *state;
    temp_write(&f->dir[0], "state.yaml", "", 0, 0640);
    start(f, 0);
    assert_non_null(strstr(f->log, "is empty"));
}

/* ---- A disk that fails ----------------------------------------------------------------------- */

static void test_a_revocation_that_cannot_be_saved_says_so_and_holds(void **state) {
    fixture *f = *state;
    start(f, 0);
    start(f, 2);
    assert_ok(dial(f, 0, 2));
    temp_dir_fini(&f->dir[0]); /* The directory is gone. */
    assert_int_equal(pollen_mesh_revoke(f->r.mesh[0], &f->r.key[2]), POLLEN_EIO);
    pollen_event event;
    do {
        rig_wait_event(f->r.mesh[0], POLLEN_EVENT_DISCONNECTED, &f->r.key[2], &event);
    } while (event.reason != POLLEN_END_REVOKED);
    assert_int_equal(dial(f, 0, 2), POLLEN_EREVOKED);
    assert_int_equal(pollen_mesh_revoke(f->r.mesh[0], &f->r.key[2]), POLLEN_EIO);
    assert_int_equal(mkdir(f->dir[0].path, 0700), 0);
    assert_ok(pollen_mesh_revoke(f->r.mesh[0], &f->r.key[2])); /* Tried again at once. */
    assert_true(has_state(f, 0));
}

/* ---- Who is no member yet -------------------------------------------------------------------- */

static void test_a_file_waits_until_the_node_is_a_member(void **state) {
    fixture *f = *state;
    char text[TEXT];
    start(f, 0);
    assert_ok(pollen_mesh_revoke(f->r.mesh[0], &f->r.key[2]));
    stop(f, 0);
    temp_write(&f->dir[1], "state.yaml", text, strlen(read_state(f, 0, text)), 0640);
    pollen_credentials *own = f->r.creds[1];
    f->r.creds[1] = rig_stranger();
    start(f, 1);
    pollen_credentials *members = f->r.creds[1];
    const pollen_key key = pollen_credentials_key(members);
    char *token = rig_token(f->r.creds[0], &key, NULL);
    assert_ok(pollen_credentials_apply(members, token));
    pollen_text_free(token);
    assert_ok(pollen_mesh_update_cert(f->r.mesh[1], members));
    start(f, 2);
    const int64_t end = rig_now_ms() + SOON_MS;
    while (dial(f, 1, 2) != POLLEN_EREVOKED) {
        assert_true(rig_now_ms() < end);
    }
    stop(f, 1);
    pollen_credentials_destroy(members);
    f->r.creds[1] = own;
}

static void test_what_a_killed_write_left_is_cleared_away(void **state) {
    fixture *f = *state;
    char path[TEMP_PATH_BYTES];
    const char *left = "state.yaml.0123456789abcdef.tmp";
    const char *foreign = "notes.0123456789abcdef.tmp";
    const struct timespec old[2] = {{.tv_sec = 1700000000}, {.tv_sec = 1700000000}};
    temp_write(&f->dir[0], left, "torn", 4, 0600);
    temp_write(&f->dir[0], foreign, "mine", 4, 0600);
    assert_int_equal(utimensat(AT_FDCWD, temp_path(&f->dir[0], left, path), old, 0), 0);
    assert_int_equal(utimensat(AT_FDCWD, temp_path(&f->dir[0], foreign, path), old, 0), 0);
    start(f, 0);
    assert_int_equal(access(temp_path(&f->dir[0], left, path), F_OK), -1);
    assert_int_equal(access(temp_path(&f->dir[0], foreign, path), F_OK), 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(test_a_revocation_outlives_a_kill_right_after_it),
        TEST(test_a_revocation_does_not_wait_its_turn),
        TEST(test_a_revocation_that_took_effect_outlives_a_kill),
        TEST(test_a_change_is_saved_without_closing),
        TEST(test_a_loop_of_the_embedder_s_own_saves_as_well),
        TEST(test_closing_saves_what_changed_last),
        TEST(test_what_did_not_change_is_not_written),
        TEST(test_members_find_each_other_again),
        TEST(test_a_torn_file_is_kept_aside_and_its_revocations_hold),
        TEST(test_the_file_of_another_node_gives_its_revocations_and_not_its_services),
        TEST(test_revocations_of_another_cluster_are_refused_and_kept_aside),
        TEST(test_a_directory_of_the_reference_is_taken_as_it_is),
        TEST(test_an_unsafe_file_is_an_error_and_stays),
        TEST(test_an_empty_file_is_told_of),
        TEST(test_a_revocation_that_cannot_be_saved_says_so_and_holds),
        TEST(test_a_file_waits_until_the_node_is_a_member),
        TEST(test_what_a_killed_write_left_is_cleared_away),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: Apache-2.0 */
/* What members know of each other, through the public interface. */
#include <stdlib.h>

#include "../support/api_rig.h"

enum { CAP = 16 };

static pollen_mesh *gossip_mesh(const pollen_credentials *creds) {
    pollen_mesh_config config;
    pollen_mesh *mesh;
    pollen_mesh_config_init(&config);
    config.credentials = creds;
    config.gossip = true;
    assert_ok(pollen_mesh_create(&config, &mesh));
    return mesh;
}

/* Three members with gossip, of which 1 and 2 know 0 alone at first; all tell their address. */
static void gossip_init(rig *r, size_t count) {
    rig_init(r, 0);
    for (size_t i = 0; i < count; i++) {
        r->mesh[i] = gossip_mesh(r->creds[i]);
        r->addr[i] = rig_loopback(pollen_mesh_listen_port(r->mesh[i]));
        assert_ok(pollen_mesh_advertise(r->mesh[i], &r->addr[i], 1));
    }
    for (size_t i = 1; i < count; i++) {
        assert_ok(pollen_mesh_keep_peer(r->mesh[i], &r->key[0], &r->addr[0], 1));
    }
}

/* ---- Waiting for news ------------------------------------------------------------------------ */

typedef bool (*condition)(rig *r, void *arg);

/* Looks every few milliseconds, by waiting for events that may come. */
static bool wait_for(rig *r, condition holds, void *arg) {
    const int64_t end = rig_now_ms() + 3 * SOON_MS;
    while (!holds(r, arg)) {
        pollen_event event;
        if (rig_now_ms() > end) {
            return false;
        }
        const pollen_err err = pollen_mesh_next_event(r->mesh[0], 5, NULL, &event);
        assert_true(err == POLLEN_OK || err == POLLEN_ETIMEDOUT);
    }
    return true;
}

static bool is_full_mesh(rig *r, void *arg) {
    const size_t count = *(const size_t *)arg;
    for (size_t i = 0; i < count; i++) {
        if (pollen_mesh_connected_peers(r->mesh[i], NULL, 0) != count - 1) {
            return false;
        }
    }
    return true;
}

static void await_full_mesh(rig *r, size_t count) {
    assert_true(wait_for(r, is_full_mesh, &count));
}

/* ---- Members --------------------------------------------------------------------------------- */

static const pollen_member *find_member(const pollen_member *members, size_t count,
                                        const pollen_key *key) {
    for (size_t i = 0; i < count; i++) {
        if (memcmp(&members[i].key, key, sizeof(*key)) == 0) {
            return &members[i];
        }
    }
    return NULL;
}

static bool knows_addresses(rig *r, void *arg) {
    (void)arg;
    pollen_member members[CAP];
    for (size_t i = 0; i < RIG_NODES; i++) {
        const size_t count = pollen_mesh_members(r->mesh[i], members, CAP);
        for (size_t k = 0; k < RIG_NODES; k++) {
            const pollen_member *member = find_member(members, count, &r->key[k]);
            if (member == NULL || member->addr_count != 1 || member->cert_expiry == 0) {
                return false;
            }
        }
    }
    return true;
}

static void test_members_tell_each_other_of_their_addresses(void **state) {
    (void)state;
    rig r;
    gossip_init(&r, RIG_NODES);
    await_full_mesh(&r, RIG_NODES);
    assert_true(wait_for(&r, knows_addresses, NULL));
    pollen_member members[CAP];
    assert_int_equal(pollen_mesh_members(r.mesh[1], members, CAP), RIG_NODES);
    for (size_t i = 1; i < RIG_NODES; i++) {
        assert_true(memcmp(&members[i - 1].key, &members[i].key, sizeof(pollen_key)) < 0);
    }
    const pollen_member *self = find_member(members, RIG_NODES, &r.key[1]);
    const pollen_member *other = find_member(members, RIG_NODES, &r.key[2]);
    assert_false(self->has_session);
    assert_int_equal(self->heard_ms, 0);
    assert_true(pollen_addr_equal(&self->addrs[0], &r.addr[1]));
    assert_true(other->has_session);
    assert_false(other->revoked);
    assert_true(other->heard_ms >= 0 && other->heard_ms < 3 * SOON_MS);
    assert_true(pollen_addr_equal(&other->addrs[0], &r.addr[2]));
    assert_true(pollen_addr_equal(&other->last_addr, &r.addr[2]));
    rig_fini(&r);
}

typedef struct expected_expiry {
    size_t at, of;
    int64_t expiry;
} expected_expiry;

static bool knows_expiry(rig *r, void *arg) {
    const expected_expiry *expected = arg;
    pollen_member members[CAP];
    const size_t count = pollen_mesh_members(r->mesh[expected->at], members, CAP);
    const pollen_member *member = find_member(members, count, &r->key[expected->of]);
    return member != NULL && member->cert_expiry == expected->expiry;
}

static void test_a_renewed_certificate_is_told(void **state) {
    (void)state;
    rig r;
    pollen_cert_info before, after;
    pollen_invite_options options;
    char *token;
    gossip_init(&r, 2);
    assert_ok(pollen_credentials_cert(r.creds[1], &before));
    expected_expiry expected = {0, 1, before.not_after};
    assert_true(wait_for(&r, knows_expiry, &expected));
    pollen_invite_options_init(&options);
    options.membership_ttl_seconds = 2 * 365 * 86400;
    assert_ok(pollen_join_token_create(r.creds[0], &r.key[1], &options, &token));
    assert_ok(pollen_credentials_apply(r.creds[1], token));
    pollen_text_free(token);
    assert_ok(pollen_credentials_cert(r.creds[1], &after));
    assert_true(after.not_after > before.not_after);
    assert_ok(pollen_mesh_update_cert(r.mesh[1], r.creds[1]));
    expected.expiry = after.not_after;
    assert_true(wait_for(&r, knows_expiry, &expected));
    rig_fini(&r);
}

static void test_a_list_fills_what_there_is_room_for(void **state) {
    (void)state;
    rig r;
    pollen_member members[CAP];
    gossip_init(&r, 2);
    await_full_mesh(&r, 2);
    memset(members, 0xee, sizeof(members));
    const pollen_member untouched = members[1];
    assert_int_equal(pollen_mesh_members(r.mesh[0], members, 1), 2);
    assert_memory_equal(&members[1], &untouched, sizeof(untouched));
    assert_int_equal(pollen_mesh_members(r.mesh[0], NULL, 0), 2);
    rig_fini(&r);
}

/* ---- Services -------------------------------------------------------------------------------- */

typedef struct expected_service {
    size_t at, provider;
    const char *name;
    uint16_t port; /* 0: the service is not known. */
} expected_service;

static bool knows_service(rig *r, void *arg) {
    const expected_service *expected = arg;
    pollen_service services[CAP];
    const size_t count = pollen_mesh_services(r->mesh[expected->at], services, CAP);
    for (size_t i = 0; i < count && i < CAP; i++) {
        if (strcmp(services[i].name, expected->name) == 0 &&
            memcmp(&services[i].provider, &r->key[expected->provider], sizeof(pollen_key)) == 0) {
            return services[i].port == expected->port;
        }
    }
    return expected->port == 0;
}

static void test_a_service_is_known_everywhere_until_it_is_removed(void **state) {
    (void)state;
    rig r;
    gossip_init(&r, RIG_NODES);
    assert_ok(pollen_mesh_set_service(r.mesh[1], "web", 8080));
    for (size_t at = 0; at < RIG_NODES; at++) {
        expected_service expected = {at, 1, "web", 8080};
        assert_true(wait_for(&r, knows_service, &expected));
    }
    assert_ok(pollen_mesh_set_service(r.mesh[1], "web", 9090)); /* Moved. */
    expected_service moved = {2, 1, "web", 9090};
    assert_true(wait_for(&r, knows_service, &moved));
    assert_ok(pollen_mesh_remove_service(r.mesh[1], "web"));
    assert_ok(pollen_mesh_remove_service(r.mesh[1], "web"));
    for (size_t at = 0; at < RIG_NODES; at++) {
        expected_service gone = {at, 1, "web", 0};
        assert_true(wait_for(&r, knows_service, &gone));
    }
    rig_fini(&r);
}

static void test_a_service_without_port_or_name_is_refused(void **state) {
    (void)state;
    rig r;
    char name[POLLEN_SERVICE_NAME_BYTES + 1];
    gossip_init(&r, 1);
    assert_int_equal(pollen_mesh_set_service(r.mesh[0], "web", 0), POLLEN_EINVAL);
    assert_int_equal(pollen_mesh_set_service(r.mesh[0], "", 80), POLLEN_EINVAL);
    assert_int_equal(pollen_mesh_set_service(r.mesh[0], "\xff", 80), POLLEN_EINVAL);
    memset(name, 'n', sizeof(name));
    name[POLLEN_SERVICE_NAME_BYTES] = '\0'; /* A byte too long. */
    assert_int_equal(pollen_mesh_set_service(r.mesh[0], name, 80), POLLEN_EINVAL);
    assert_non_null(strstr(pollen_last_error(), "nnnn"));
    name[POLLEN_SERVICE_NAME_BYTES - 1] = '\0';
    assert_ok(pollen_mesh_set_service(r.mesh[0], name, 80));
    pollen_service service;
    assert_int_equal(pollen_mesh_services(r.mesh[0], &service, 1), 1);
    assert_string_equal(service.name, name);
    rig_fini(&r);
}

/* ---- Forwards -------------------------------------------------------------------------------- */

static void test_forwards_are_kept_in_mind(void **state) {
    (void)state;
    rig r;
    pollen_forward forwards[CAP];
    gossip_init(&r, 1);
    const pollen_forward wanted = {.provider = r.key[1], .remote_port = 80, .local_port = 8080};
    const pollen_forward senseless = {.provider = r.key[1], .remote_port = 80};
    assert_ok(pollen_mesh_set_forward(r.mesh[0], &wanted, true));
    assert_ok(pollen_mesh_set_forward(r.mesh[0], &wanted, true));
    assert_int_equal(pollen_mesh_set_forward(r.mesh[0], &senseless, true), POLLEN_EINVAL);
    assert_int_equal(pollen_mesh_forwards(r.mesh[0], forwards, CAP), 1);
    assert_memory_equal(&forwards[0].provider, &r.key[1], sizeof(pollen_key));
    assert_int_equal(forwards[0].remote_port, 80);
    assert_int_equal(forwards[0].local_port, 8080);
    assert_string_equal(forwards[0].bind, "");
    pollen_forward elsewhere = wanted;
    memcpy(elsewhere.bind, "::1", 4);
    assert_ok(pollen_mesh_set_forward(r.mesh[0], &elsewhere, true));
    assert_int_equal(pollen_mesh_forwards(r.mesh[0], forwards, CAP), 1);
    assert_string_equal(forwards[0].bind, "::1");
    memset(elsewhere.bind, '1', sizeof(elsewhere.bind));
    assert_int_equal(pollen_mesh_set_forward(r.mesh[0], &elsewhere, true), POLLEN_EINVAL);
    assert_ok(pollen_mesh_set_forward(r.mesh[0], &wanted, false));
    assert_int_equal(pollen_mesh_forwards(r.mesh[0], forwards, CAP), 0);
    rig_fini(&r);
}

/* ---- Revocation ------------------------------------------------------------------------------ */

/* Sessions that gave way to another one of the same pair may have ended before. */
static void await_end(rig *r, size_t at, size_t peer, pollen_end_reason reason) {
    pollen_event event;
    do {
        rig_wait_event(r->mesh[at], POLLEN_EVENT_DISCONNECTED, &r->key[peer], &event);
    } while (event.reason != reason);
}

static bool knows_revoked(rig *r, void *arg) {
    const size_t *pair = arg; /* Who knows, who is revoked. */
    pollen_member members[CAP];
    const size_t count = pollen_mesh_members(r->mesh[pair[0]], members, CAP);
    const pollen_member *member = find_member(members, count, &r->key[pair[1]]);
    return member != NULL && member->revoked;
}

/* The issuer's own session is no exception: there is one way in which revocations take effect. */
static void test_a_revoked_member_loses_its_sessions_everywhere(void **state) {
    (void)state;
    rig r;
    gossip_init(&r, RIG_NODES);
    await_full_mesh(&r, RIG_NODES);
    assert_ok(pollen_mesh_revoke(r.mesh[0], &r.key[2]));
    await_end(&r, 0, 2, POLLEN_END_REVOKED);
    await_end(&r, 1, 2, POLLEN_END_REVOKED);
    await_end(&r, 2, 0, POLLEN_END_REVOKED);
    size_t pair[] = {1, 2};
    assert_true(wait_for(&r, knows_revoked, pair));
    assert_int_equal(pollen_mesh_connect(r.mesh[1], &r.key[2], &r.addr[2], 1, SOON_MS, NULL),
                     POLLEN_EREVOKED);
    assert_int_equal(pollen_mesh_connect(r.mesh[2], &r.key[1], &r.addr[1], 1, SOON_MS, NULL),
                     POLLEN_EDENIED);
    assert_ok(pollen_mesh_revoke(r.mesh[0], &r.key[2])); /* Once more is fine. */
    rig_fini(&r);
}

static void test_services_of_the_revoked_are_not_offered(void **state) {
    (void)state;
    rig r;
    gossip_init(&r, 2);
    assert_ok(pollen_mesh_set_service(r.mesh[1], "web", 80));
    expected_service expected = {0, 1, "web", 80};
    assert_true(wait_for(&r, knows_service, &expected));
    assert_ok(pollen_mesh_revoke(r.mesh[0], &r.key[1]));
    assert_int_equal(pollen_mesh_services(r.mesh[0], NULL, 0), 0);
    rig_fini(&r);
}

static void test_only_the_root_revokes_and_not_itself(void **state) {
    (void)state;
    rig r;
    gossip_init(&r, 2);
    assert_int_equal(pollen_mesh_revoke(r.mesh[1], &r.key[0]), POLLEN_EPERM);
    assert_true(pollen_last_error()[0] != '\0');
    assert_int_equal(pollen_mesh_revoke(r.mesh[0], &r.key[0]), POLLEN_EINVAL);
    assert_int_equal(pollen_mesh_revoke(r.mesh[0], NULL), POLLEN_EINVAL);
    rig_fini(&r);
}

/* Its certificate signs for all: without it nobody would be a member, the root included. */
static void test_the_root_key_is_not_revoked(void **state) {
    (void)state;
    pollen_credentials *creds = rig_stranger();
    pollen_seed seed;
    assert_ok(pollen_seed_generate(&seed));
    const pollen_key root = pollen_seed_key(&seed);
    assert_ok(pollen_credentials_create_cluster(creds, &seed));
    pollen_seed_wipe(&seed);
    pollen_mesh *mesh = gossip_mesh(creds);
    assert_int_equal(pollen_mesh_revoke(mesh, &root), POLLEN_EINVAL);
    pollen_mesh_destroy(mesh);
    pollen_credentials_destroy(creds);
}

/* ---- Without it ------------------------------------------------------------------------------ */

static void test_without_gossip_nothing_is_known_or_told(void **state) {
    (void)state;
    rig r;
    rig_init(&r, 1);
    const pollen_forward forward = {.provider = r.key[1], .remote_port = 80, .local_port = 80};
    assert_int_equal(pollen_mesh_members(r.mesh[0], NULL, 0), 0);
    assert_int_equal(pollen_mesh_services(r.mesh[0], NULL, 0), 0);
    assert_int_equal(pollen_mesh_forwards(r.mesh[0], NULL, 0), 0);
    assert_int_equal(pollen_mesh_set_service(r.mesh[0], "web", 80), POLLEN_ENOTSUP);
    assert_int_equal(pollen_mesh_remove_service(r.mesh[0], "web"), POLLEN_ENOTSUP);
    assert_int_equal(pollen_mesh_set_forward(r.mesh[0], &forward, true), POLLEN_ENOTSUP);
    assert_int_equal(pollen_mesh_revoke(r.mesh[0], &r.key[1]), POLLEN_ENOTSUP);
    rig_fini(&r);
}

static void test_a_closed_mesh_says_so(void **state) {
    (void)state;
    rig r;
    gossip_init(&r, 1);
    pollen_mesh_close(r.mesh[0]);
    assert_int_equal(pollen_mesh_set_service(r.mesh[0], "web", 80), POLLEN_ECLOSED);
    assert_int_equal(pollen_mesh_revoke(r.mesh[0], &r.key[1]), POLLEN_ECLOSED);
    assert_int_equal(pollen_mesh_members(r.mesh[0], NULL, 0), 0);
    rig_fini(&r);
}

static void test_who_belongs_to_no_cluster_revokes_nobody(void **state) {
    (void)state;
    pollen_credentials *creds = rig_stranger();
    pollen_mesh *mesh = gossip_mesh(creds);
    const pollen_key other = {.bytes = {1}};
    assert_int_equal(pollen_mesh_revoke(mesh, &other), POLLEN_ENOTENROLLED);
    pollen_mesh_destroy(mesh);
    pollen_credentials_destroy(creds);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_members_tell_each_other_of_their_addresses),
        cmocka_unit_test(test_a_renewed_certificate_is_told),
        cmocka_unit_test(test_a_list_fills_what_there_is_room_for),
        cmocka_unit_test(test_a_service_is_known_everywhere_until_it_is_removed),
        cmocka_unit_test(test_a_service_without_port_or_name_is_refused),
        cmocka_unit_test(test_forwards_are_kept_in_mind),
        cmocka_unit_test(test_a_revoked_member_loses_its_sessions_everywhere),
        cmocka_unit_test(test_services_of_the_revoked_are_not_offered),
        cmocka_unit_test(test_only_the_root_revokes_and_not_itself),
        cmocka_unit_test(test_the_root_key_is_not_revoked),
        cmocka_unit_test(test_without_gossip_nothing_is_known_or_told),
        cmocka_unit_test(test_a_closed_mesh_says_so),
        cmocka_unit_test(test_who_belongs_to_no_cluster_revokes_nobody),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Meshes of one cluster in this process, over loopback, through the public interface alone.
 * Node 0 is the root of the cluster.
 */
#ifndef TESTS_SUPPORT_API_RIG_H
#define TESTS_SUPPORT_API_RIG_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include <pollen/pollen.h>

enum { RIG_NODES = 3 };
/* What has to happen happens far earlier; a slow machine under a sanitizer may take it. */
enum { SOON_MS = 30000 };

typedef struct rig {
    pollen_credentials *creds[RIG_NODES];
    pollen_key key[RIG_NODES];
    pollen_mesh *mesh[RIG_NODES];
    pollen_addr addr[RIG_NODES];
} rig;

#define assert_ok(call)                                                                            \
    do {                                                                                           \
        pollen_err ok_err_ = (call);                                                               \
        if (ok_err_ != POLLEN_OK) {                                                                \
            print_error("%s: %s: %s\n", #call, pollen_err_name(ok_err_), pollen_last_error());     \
        }                                                                                          \
        assert_int_equal(ok_err_, POLLEN_OK);                                                      \
    } while (0)

static inline int64_t rig_now_ms(void) {
    struct timespec at;
    assert_int_equal(clock_gettime(CLOCK_MONOTONIC, &at), 0);
    return (int64_t)at.tv_sec * 1000 + at.tv_nsec / 1000000;
}

static inline pollen_credentials *rig_stranger(void) {
    pollen_seed seed;
    pollen_credentials *creds;
    assert_ok(pollen_seed_generate(&seed));
    assert_ok(pollen_credentials_create(&seed, &creds));
    pollen_seed_wipe(&seed);
    return creds;
}

static inline pollen_credentials *rig_root(void) {
    pollen_credentials *creds = rig_stranger();
    pollen_seed root;
    assert_ok(pollen_seed_generate(&root));
    assert_ok(pollen_credentials_create_cluster(creds, &root));
    pollen_seed_wipe(&root);
    return creds;
}

/* A join token of admin for the subject; bootstrap NULL for none.  Owner: pollen_text_free() */
static inline char *rig_token(const pollen_credentials *admin, const pollen_key *subject,
                              const pollen_bootstrap *bootstrap) {
    pollen_invite_options options;
    char *token;
    pollen_invite_options_init(&options);
    options.bootstrap = bootstrap;
    options.bootstrap_count = bootstrap == NULL ? 0 : 1;
    assert_ok(pollen_join_token_create(admin, subject, &options, &token));
    return token;
}

static inline pollen_credentials *rig_member(const pollen_credentials *admin) {
    pollen_credentials *creds = rig_stranger();
    pollen_key key = pollen_credentials_key(creds);
    char *token = rig_token(admin, &key, NULL);
    assert_ok(pollen_credentials_apply(creds, token));
    pollen_text_free(token);
    return creds;
}

static inline pollen_addr rig_loopback(uint16_t port) {
    pollen_addr addr = {.ip = {[10] = 0xff, 0xff, 127, 0, 0, 1}, .port = port};
    return addr;
}

static inline pollen_mesh *rig_mesh(const pollen_credentials *creds) {
    pollen_mesh_config config;
    pollen_mesh *mesh;
    pollen_mesh_config_init(&config);
    config.credentials = creds;
    assert_ok(pollen_mesh_create(&config, &mesh));
    return mesh;
}

static inline void rig_start(rig *r, size_t i) {
    r->mesh[i] = rig_mesh(r->creds[i]);
    r->addr[i] = rig_loopback(pollen_mesh_listen_port(r->mesh[i]));
}

/* Credentials of all nodes, and meshes of the first count. */
static inline void rig_init(rig *r, size_t count) {
    *r = (rig){.creds = {NULL}};
    for (size_t i = 0; i < RIG_NODES; i++) {
        r->creds[i] = i == 0 ? rig_root() : rig_member(r->creds[0]);
        r->key[i] = pollen_credentials_key(r->creds[i]);
    }
    for (size_t i = 0; i < count; i++) {
        rig_start(r, i);
    }
}

static inline void rig_fini(rig *r) {
    for (size_t i = 0; i < RIG_NODES; i++) {
        pollen_mesh_destroy(r->mesh[i]);
        pollen_credentials_destroy(r->creds[i]);
    }
}

static inline void rig_connect(rig *r, size_t from, size_t to) {
    assert_ok(pollen_mesh_connect(r->mesh[from], &r->key[to], &r->addr[to], 1, SOON_MS, NULL));
}

/* The acceptor has the session a moment later than the dialler. */
static inline void rig_wait_event(pollen_mesh *mesh, pollen_event_kind kind, const pollen_key *peer,
                                  pollen_event *ret) {
    pollen_event event;
    do {
        assert_ok(pollen_mesh_next_event(mesh, SOON_MS, NULL, &event));
    } while (event.kind != kind || memcmp(&event.peer, peer, sizeof(*peer)) != 0);
    if (ret != NULL) {
        *ret = event;
    }
}

/* Two nodes with a session that both know of. */
static inline void rig_init_pair(rig *r) {
    rig_init(r, 2);
    rig_connect(r, 1, 0);
    rig_wait_event(r->mesh[0], POLLEN_EVENT_CONNECTED, &r->key[1], NULL);
    rig_wait_event(r->mesh[1], POLLEN_EVENT_CONNECTED, &r->key[0], NULL);
}

static inline int rig_setup_pair(void **state) {
    static rig r;
    rig_init_pair(&r);
    *state = &r;
    return 0;
}

static inline int rig_teardown(void **state) {
    rig_fini(*state);
    return 0;
}

#define PAIR_TEST(name) cmocka_unit_test_setup_teardown(name, rig_setup_pair, rig_teardown)

static inline pollen_err rig_send(pollen_mesh *mesh, const pollen_key *to, const void *body,
                                  size_t size) {
    pollen_envelope envelope = {.kind = POLLEN_ENVELOPE_PAYLOAD, .body = body, .size = size};
    return pollen_mesh_send(mesh, to, &envelope);
}

/* The next payload; nodes tell each other other things besides. */
static inline pollen_err rig_recv(pollen_mesh *mesh, int timeout_ms, pollen_packet *ret) {
    pollen_err err;
    while ((err = pollen_mesh_recv(mesh, timeout_ms, NULL, ret)) == POLLEN_OK &&
           ret->envelope.kind != POLLEN_ENVELOPE_PAYLOAD) {
        pollen_packet_fini(ret);
    }
    return err;
}

/* A stream from node 1 to node 0: [0] is the acceptor's end, [1] the opener's. */
static inline void rig_open(rig *r, uint16_t port, pollen_stream *ends[2]) {
    assert_ok(pollen_mesh_open_stream(r->mesh[1], &r->key[0], port, SOON_MS, NULL, &ends[1]));
    assert_ok(pollen_mesh_accept_stream(r->mesh[0], SOON_MS, NULL, &ends[0]));
}

#endif

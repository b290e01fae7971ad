/* SPDX-License-Identifier: Apache-2.0 */
#include "node.h"

#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { TIMEOUT_MS = 10000 };

static pollen_seed seed_of(uint32_t index, uint8_t use) {
    pollen_seed seed = {.bytes = {use, 0xb3, 0x0c}};
    memcpy(seed.bytes + 8, &index, sizeof index);
    return seed;
}

void bench_check(pollen_err err, const char *what) {
    if (err != POLLEN_OK) {
        fprintf(stderr, "pollen-bench: %s: %s %s\n", what, pollen_strerror(err),
                pollen_last_error());
        exit(1);
    }
}

pollen_key bench_key(uint32_t index) {
    const pollen_seed seed = seed_of(index, 1);
    return pollen_seed_key(&seed);
}

/* One for the process, as one admin has one certificate; never given back. */
static pollen_credentials *the_root;
static pthread_once_t root_once = PTHREAD_ONCE_INIT;

static void make_root(void) {
    const pollen_seed seed = seed_of(0, 1), root = seed_of(0, 2);
    bench_check(pollen_credentials_create(&seed, &the_root), "root");
    bench_check(pollen_credentials_create_cluster(the_root, &root), "cluster");
}

static pollen_credentials *member_credentials(uint32_t index) {
    const pollen_seed seed = seed_of(index, 1);
    const pollen_key root_key = bench_key(0), key = bench_key(index);
    const char *const addrs[] = {"127.0.0.1:1"};
    const pollen_bootstrap bootstrap = {.peer = root_key, .addrs = addrs, .addr_count = 1};
    pollen_invite_options options;
    pollen_invite_options_init(&options);
    options.bootstrap = &bootstrap;
    options.bootstrap_count = 1;
    char *token;
    bench_check(pollen_join_token_create(the_root, &key, &options, &token), "join token");
    pollen_credentials *creds;
    bench_check(pollen_credentials_create(&seed, &creds), "member");
    bench_check(pollen_credentials_apply(creds, token), "enrol");
    pollen_text_free(token);
    return creds;
}

pollen_mesh *bench_mesh(uint32_t index, bool threaded) {
    pthread_once(&root_once, make_root);
    pollen_credentials *creds = index == 0 ? the_root : member_credentials(index);
    pollen_mesh_config config;
    pollen_mesh_config_init(&config);
    config.credentials = creds;
    config.external_loop = !threaded;
    pollen_mesh *mesh;
    bench_check(pollen_mesh_create(&config, &mesh), "mesh");
    if (index != 0) {
        pollen_credentials_destroy(creds);
    }
    return mesh;
}

pollen_addr bench_loopback(uint16_t port) {
    pollen_addr addr;
    char text[32];
    (void)snprintf(text, sizeof text, "127.0.0.1:%u", (unsigned)port);
    bench_check(pollen_addr_parse(text, &addr), "address");
    return addr;
}

void bench_connect(pollen_mesh *mesh, uint32_t peer, uint16_t port) {
    const pollen_key key = bench_key(peer);
    const pollen_addr addr = bench_loopback(port);
    bench_check(pollen_mesh_connect(mesh, &key, &addr, 1, TIMEOUT_MS, NULL), "connect");
}

void bench_dispatch(pollen_mesh *mesh) {
    bench_check(pollen_mesh_dispatch(mesh), "dispatch");
}

static void wait_for(pollen_mesh *mesh, int control, int ms_max) {
    struct pollfd fds[2] = {{.fd = pollen_mesh_fd(mesh), .events = POLLIN},
                            {.fd = control, .events = POLLIN}};
    const int ms = pollen_mesh_timeout_ms(mesh);
    (void)poll(fds, control >= 0 ? 2 : 1, ms < 0 || ms > ms_max ? ms_max : ms);
}

void bench_wait(pollen_mesh *mesh, int control) {
    wait_for(mesh, control, 1000);
}

void bench_wait_ms(pollen_mesh *mesh, int ms) {
    wait_for(mesh, -1, ms);
}

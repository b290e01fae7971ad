/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A member on the library alone, for the live tests against the reference.  It connects to its
 * root, and
 *
 *   peer DIR ROOT-ID ROOT-ADDR PORT serve
 *       announces an echo service as members do, and echoes every stream towards its port until its
 *       input ends;
 *
 *   peer DIR ROOT-ID ROOT-ADDR PORT call
 *       opens a stream towards the root's port, sends its input, and writes what comes back to its
 *       output.
 */
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <pollen/pollen.h>

#include "wire/state.h"

enum { TIMEOUT_MS = 10000, TURN_MS = 500, BLOCK = 65536 };

static void check(pollen_err err, const char *what) {
    if (err != POLLEN_OK) {
        fprintf(stderr, "peer: %s: %s: %s\n", what, pollen_strerror(err), pollen_last_error());
        exit(1);
    }
}

static void announce(pollen_mesh *mesh, const pollen_key *to, uint16_t port) {
    char ip[] = "127.0.0.1", name[] = "echo";
    char *ips[] = {ip};
    const pollen_key self = pollen_mesh_key(mesh);
    pln_gossip_event events[] = {
        {.has_author = true,
         .author = self,
         .counter = 1,
         .kind = PLN_CHANGE_NETWORK,
         .network = {.ips = ips, .ip_count = 1, .local_port = pollen_mesh_listen_port(mesh)}},
        {.has_author = true,
         .author = self,
         .counter = 2,
         .kind = PLN_CHANGE_SERVICE,
         .service = {.name = name, .port = port}},
    };
    const pln_gossip_batch batch = {.events = events, .count = 2};
    pln_bytes body = {0};
    check(pln_gossip_batch_encode(&batch, &body), "encode");
    const pollen_envelope envelope = {
        .kind = POLLEN_ENVELOPE_EVENTS, .body = body.data, .size = body.size};
    check(pollen_mesh_send(mesh, to, &envelope), "announce");
    pln_bytes_fini(&body);
}

static void *echo(void *arg) {
    pollen_stream *stream = arg;
    static _Thread_local uint8_t block[BLOCK];
    size_t size = 0;
    while (pollen_stream_read(stream, block, sizeof block, TIMEOUT_MS, NULL, &size) == POLLEN_OK &&
           size > 0) {
        if (pollen_stream_write(stream, block, size, TIMEOUT_MS, NULL, NULL) != POLLEN_OK) {
            break;
        }
    }
    if (pollen_stream_close_write(stream) != POLLEN_OK) {
        pollen_stream_reset(stream, 0);
    }
    pollen_stream_close(stream);
    return NULL;
}

static bool input_ended(void) {
    struct pollfd fd = {.fd = STDIN_FILENO, .events = POLLIN};
    return poll(&fd, 1, 0) > 0;
}

static void serve(pollen_mesh *mesh, const pollen_key *root, uint16_t port) {
    while (!input_ended()) {
        announce(mesh, root, port);
        pollen_stream *stream;
        if (pollen_mesh_accept_stream(mesh, TURN_MS, NULL, &stream) != POLLEN_OK) {
            continue;
        }
        pthread_t thread;
        if (pollen_stream_port(stream) != port ||
            pthread_create(&thread, NULL, echo, stream) != 0) {
            pollen_stream_reset(stream, POLLEN_STREAM_REFUSED);
            pollen_stream_close(stream);
            continue;
        }
        pthread_join(thread, NULL);
    }
}

static void *send_input(void *arg) {
    pollen_stream *stream = arg;
    static uint8_t block[BLOCK];
    size_t size;
    while ((size = fread(block, 1, sizeof block, stdin)) > 0) {
        check(pollen_stream_write(stream, block, size, TIMEOUT_MS, NULL, NULL), "write");
    }
    check(pollen_stream_close_write(stream), "close");
    return NULL;
}

static void call(pollen_mesh *mesh, const pollen_key *root, uint16_t port) {
    pollen_stream *stream;
    check(pollen_mesh_open_stream(mesh, root, port, TIMEOUT_MS, NULL, &stream), "open stream");
    pthread_t thread;
    if (pthread_create(&thread, NULL, send_input, stream) != 0) {
        exit(1);
    }
    static uint8_t block[BLOCK];
    size_t size = 0;
    do {
        check(pollen_stream_read(stream, block, sizeof block, TIMEOUT_MS, NULL, &size), "read");
        if (fwrite(block, 1, size, stdout) != size) {
            exit(1);
        }
    } while (size > 0);
    pthread_join(thread, NULL);
    pollen_stream_close(stream);
}

int main(int argc, char **argv) {
    if (argc != 6) {
        fprintf(stderr, "usage: peer DIR ROOT-ID ROOT-ADDR PORT serve|call\n");
        return 2;
    }
    pollen_credentials *creds;
    check(pollen_credentials_load(argv[1], &creds), "credentials");
    pollen_key root;
    pollen_addr addr;
    check(pollen_key_parse(argv[2], &root), "root id");
    check(pollen_addr_parse(argv[3], &addr), "root address");
    const uint16_t port = (uint16_t)strtoul(argv[4], NULL, 10);

    pollen_mesh_config config;
    pollen_mesh_config_init(&config);
    config.credentials = creds;
    pollen_mesh *mesh;
    check(pollen_mesh_create(&config, &mesh), "mesh");
    check(pollen_mesh_connect(mesh, &root, &addr, 1, TIMEOUT_MS, NULL), "connect");
    if (strcmp(argv[5], "call") == 0) {
        call(mesh, &root, port);
    } else {
        serve(mesh, &root, port);
    }
    pollen_mesh_destroy(mesh);
    pollen_credentials_destroy(creds);
    return 0;
}

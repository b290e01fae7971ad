/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Requests on the control socket: {"schema":"pollen.control/1","verb":...} and the fields of that
 * verb. Strict in both directions: a field that is missing, unknown, of another type or out of
 * range is refused, because a daemon that skips over what it does not understand does something
 * else than it was asked.
 *
 * The answer is one or more lines of the machine contract.
 *
 *   status         one pollen.status/1
 *   status_all     the same with members that are revoked
 *   bench          one pollen.bench/1
 *   diagnose       one pollen.diagnosis/1: a status, and what explains it
 *   info           one pollen.info/1: what other verbs need to know of the daemon
 *   metrics        pollen.metrics/1, with series of up to `count` peers
 *   netcheck       one pollen.netcheck/1
 *   watch          pollen.event/1 until the client hangs up
 *   ping           pollen.ping/1 for each, `count` 0 until the client hangs up
 *   revoke         pollen.revoke/1; without `sure` nothing is done but finding the peer
 *   reload         pollen.ok/1 once credentials and configuration were read anew
 *   shutdown       pollen.ok/1, and the end of the connection once the daemon is gone
 *   serve, unserve, connect, disconnect
 *                  pollen.serve/1 and so on, once it is done
 *   stream_listen, stream_connect
 *                  one pollen.stream/1, then the connection carries the stream's bytes
 *
 * or, at any point, one pollen.error/1 as the last line.
 */
#ifndef PLN_CMD_REQUEST_H
#define PLN_CMD_REQUEST_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <pollen/err.h>

#define PLN_REQUEST_SCHEMA "pollen.control/1"
#define PLN_REQUEST_PEER_BYTES 65
#define PLN_REQUEST_SERVICE_BYTES 65
#define PLN_REQUEST_BIND_BYTES 46
#define PLN_REQUEST_WHY_BYTES 128
#define PLN_REQUEST_TIMEOUT_MS_MAX (24LL * 3600 * 1000)
#define PLN_REQUEST_METRICS_PEERS_MAX 100000
#define PLN_REQUEST_PING_SIZE_MAX 1200 /* Less than every path carries. */

typedef enum pln_request_verb {
    PLN_REQUEST_BENCH,
    PLN_REQUEST_CONNECT,
    PLN_REQUEST_DIAGNOSE,
    PLN_REQUEST_DISCONNECT,
    PLN_REQUEST_INFO,
    PLN_REQUEST_METRICS,
    PLN_REQUEST_NETCHECK,
    PLN_REQUEST_PING,
    PLN_REQUEST_RELOAD,
    PLN_REQUEST_REVOKE,
    PLN_REQUEST_SERVE,
    PLN_REQUEST_SHUTDOWN,
    PLN_REQUEST_STATUS,
    PLN_REQUEST_STATUS_ALL,
    PLN_REQUEST_STREAM_CONNECT,
    PLN_REQUEST_STREAM_LISTEN,
    PLN_REQUEST_UNSERVE,
    PLN_REQUEST_WATCH,
    PLN_REQUEST_VERBS,
} pln_request_verb;

/* Fields that the verb does not have are zero. */
typedef struct pln_request {
    pln_request_verb verb;
    char peer[PLN_REQUEST_PEER_BYTES];       /* An id or its beginning. */
    char service[PLN_REQUEST_SERVICE_BYTES]; /* A name; but for SERVE, a port's number too. */
    char bind[PLN_REQUEST_BIND_BYTES];       /* CONNECT: an IP address; "": loopback. */
    int64_t local_port;                      /* CONNECT; 0: any. */
    int64_t port;                            /* STREAM_*, SERVE: 1 to 65535. */
    int64_t count;                           /* PING, METRICS */
    int64_t interval_ms;                     /* PING */
    int64_t timeout_ms;                      /* PING: of each; BENCH, STREAM_*. */
    int64_t size;                            /* PING */
    int64_t seconds;                         /* BENCH */
    bool until_direct;                       /* PING */
    bool sure;                               /* REVOKE */
} pln_request;

/*
 * Owner:  line is borrowed; why[PLN_REQUEST_WHY_BYTES] receives the reason of a refusal.
 * Errors: POLLEN_EINVAL
 */
POLLEN_MUST_USE pollen_err pln_request_parse(const char *line, size_t size, pln_request *ret,
                                             char *why);

/* Owner: a new reference; NULL when there is no memory. */
json_t *pln_request_encode(const pln_request *request);

#endif

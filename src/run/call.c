/* SPDX-License-Identifier: Apache-2.0 */
#include "run/call.h"

#include <string.h>

#include "base/assert.h"
#include "run/clock.h"
#include "run/runtime.h"

/* ---- Requests -------------------------------------------------------------------------------- */

typedef struct request {
    pln_cmd cmd;
    pln_request_fn fn;
    void *arg;
    pln_monitor monitor; /* Guards done and err. */
    bool done;
    pollen_err err;
} request;

static void run_request(pln_cmd *cmd, pollen_mesh *mesh, pollen_err state) {
    request *r = (request *)(void *)cmd;
    pollen_err err = state == POLLEN_OK ? r->fn(mesh, r->arg) : state;
    pthread_mutex_lock(&r->monitor.lock);
    r->err = err;
    r->done = true;
    pthread_cond_signal(&r->monitor.changed);
    pthread_mutex_unlock(&r->monitor.lock); /* From here on r may be gone. */
}

pollen_err pln_request(pollen_mesh *mesh, pln_request_fn fn, void *arg) {
    PLN_ASSERT(fn != NULL);
    request r = {.cmd.run = run_request, .fn = fn, .arg = arg};
    pln_wait wait;
    pln_monitor_init(&r.monitor);
    pln_wait_begin(&wait, mesh, &r.monitor, PLN_TS_NEVER, NULL);
    pollen_err err = pln_cmdq_push(&mesh->cmdq, &r.cmd);
    if (err == POLLEN_OK) {
        pthread_mutex_lock(&r.monitor.lock);
        while (!r.done) {
            err = pln_wait_step(&wait);
            PLN_ASSERT(err == POLLEN_OK); /* It has no deadline and no cancel. */
        }
        err = r.err;
        pthread_mutex_unlock(&r.monitor.lock);
    }
    pln_wait_end(&wait);
    pln_monitor_fini(&r.monitor);
    return err;
}

size_t pln_request_list(pollen_mesh *mesh, pln_request_fn fn, void *items, size_t cap) {
    pln_list_query query = {.items = items, .cap = cap};
    return mesh != NULL && pln_request(mesh, fn, &query) == POLLEN_OK ? query.count : 0;
}

/* ---- Life of a call -------------------------------------------------------------------------- */

static void ref(pln_call *call) {
    atomic_fetch_add(&call->refs, 1);
}

static void run_call(pln_cmd *cmd, pollen_mesh *mesh, pollen_err state);

pln_call *pln_call_create(void (*start)(pollen_mesh *, pln_call *), pln_call *signal) {
    PLN_ASSERT(start != NULL);
    pln_call *call = pln_calloc(1, sizeof(*call));
    if (call == NULL) {
        return NULL;
    }
    call->cmd.run = run_call;
    call->start = start;
    atomic_init(&call->refs, 1);
    pln_monitor_init(&call->monitor);
    call->signal = signal == NULL ? call : signal;
    if (signal != NULL) {
        ref(signal);
    }
    return call;
}

static void free_join_token(pln_join_token *token) {
    if (token != NULL) {
        pln_join_token_fini(token);
        pln_free(token);
    }
}

void pln_call_unref(pln_call *call) {
    if (call == NULL || atomic_fetch_sub(&call->refs, 1) != 1) {
        return;
    }
    if (call->signal != call) {
        pln_call_unref(call->signal);
    }
    if (call->invite != NULL) {
        pln_invite_token_fini(call->invite);
        pln_free(call->invite);
    }
    pollen_stream_close(call->stream);
    free_join_token(call->join_token);
    pln_free(call->paths);
    pln_free(call->targets);
    pln_monitor_fini(&call->monitor);
    pln_free(call);
}

/* ---- The loop's side ------------------------------------------------------------------------- */

/* Tells the caller; the loop's reference goes with it. */
static void finish(pln_call *call, pollen_err err) {
    pln_monitor *monitor = &call->signal->monitor;
    pthread_mutex_lock(&monitor->lock);
    PLN_ASSERT(!call->done);
    call->err = err;
    call->done = true;
    pthread_cond_broadcast(&monitor->changed);
    pthread_mutex_unlock(&monitor->lock);
    pln_call_unref(call);
}

static pln_call *find_call(pollen_mesh *mesh, pln_op op) {
    pln_call *call;
    PLN_MAP_FIND(&mesh->hash_key, mesh->calls, &op, sizeof(op), call);
    return call;
}

static void start_call(pollen_mesh *mesh, pln_call *call) {
    call->op = ++mesh->last_op;
    PLN_ASSERT(call->op < PLN_OP_NODE);
    PLN_ASSERT(find_call(mesh, call->op) == NULL);
    PLN_MAP_ADD(&mesh->hash_key, mesh->calls, op, sizeof(call->op), call);
    if (!PLN_MAP_ADDED(call)) {
        finish(call, POLLEN_ENOMEM);
        return;
    }
    call->start(mesh, call);
}

/* The command of a call runs once to start it, and once more when it was abandoned. */
static void run_call(pln_cmd *cmd, pollen_mesh *mesh, pollen_err state) {
    pln_call *call = (pln_call *)(void *)cmd;
    PLN_ASSERT_LOOP(mesh);
    if (state != POLLEN_OK) {
        finish(call, state);
    } else {
        start_call(mesh, call);
    }
}

void pln_call_complete(pollen_mesh *mesh, pln_mesh_event *event) {
    PLN_ASSERT_LOOP(mesh);
    pln_call *call = find_call(mesh, event->op);
    if (call == NULL) {
        free_join_token(event->join_token);
        if (event->stream != 0) {
            pln_mesh *core = pln_node_mesh(mesh->node);
            pln_mesh_stream_reset(core, event->stream, POLLEN_STREAM_CLOSED);
            pln_mesh_stream_stop(core, event->stream, POLLEN_STREAM_CLOSED);
        }
        return;
    }
    HASH_DEL(mesh->calls, call);
    pollen_err err = event->err;
    if (err == POLLEN_OK && call->stream != NULL) {
        err = pln_stream_attach(call->stream, event->stream, &call->peer, call->port);
    }
    memcpy(call->detail, event->detail, sizeof(call->detail));
    call->rtt = event->rtt;
    call->join_token = event->join_token;
    finish(call, err);
}

void pln_calls_close(pollen_mesh *mesh) {
    pln_call *call, *next;
    HASH_ITER(hh, mesh->calls, call, next) {
        HASH_DEL(mesh->calls, call);
        finish(call, POLLEN_ECLOSED);
    }
}

/* ---- The caller's side ----------------------------------------------------------------------- */

pollen_err pln_call_submit(pollen_mesh *mesh, pln_call *call) {
    PLN_ASSERT(!call->done);
    ref(call); /* The loop's. */
    pollen_err err = pln_cmdq_push(&mesh->cmdq, &call->cmd);
    if (err != POLLEN_OK) {
        finish(call, err);
    }
    return err;
}

/* A cancel travels as a command of its own, because the call's may still be queued. */
typedef struct cancel_cmd {
    pln_cmd cmd;
    pln_call *call;
} cancel_cmd;

static void run_cancel(pln_cmd *cmd, pollen_mesh *mesh, pollen_err state) {
    pln_call *call = ((cancel_cmd *)(void *)cmd)->call;
    pln_free(cmd);
    if (state == POLLEN_OK && find_call(mesh, call->op) == call) {
        pln_mesh_cancel(pln_node_mesh(mesh->node), call->op, mesh->now);
        HASH_DEL(mesh->calls, call);
        finish(call, POLLEN_ECANCELED);
    }
    pln_call_unref(call);
}

void pln_call_abandon(pollen_mesh *mesh, pln_call *call) {
    cancel_cmd *cancel = pln_calloc(1, sizeof(*cancel));
    if (cancel == NULL) {
        return; /* It ends by its own deadline, and nobody will be looking. */
    }
    *cancel = (cancel_cmd){.cmd.run = run_cancel, .call = call};
    ref(call);
    if (pln_cmdq_push(&mesh->cmdq, &cancel->cmd) != POLLEN_OK) {
        pln_free(cancel);
        pln_call_unref(call);
    }
}

pln_ts pln_call_last_moment(pln_ts deadline) {
    pln_ts now = deadline == PLN_TS_NEVER ? 0 : pln_clock_mono();
    return pln_ts_add(deadline > now ? deadline : now, PLN_S(1));
}

pollen_err pln_call_run(pollen_mesh *mesh, pln_call *call, pollen_cancel *cancel) {
    pln_monitor *monitor = &call->signal->monitor;
    pln_wait wait;
    pln_wait_begin(&wait, mesh, monitor, pln_call_last_moment(call->deadline), cancel);
    (void)pln_call_submit(mesh, call);
    pollen_err err = POLLEN_OK;
    pthread_mutex_lock(&monitor->lock);
    while (!call->done && err == POLLEN_OK) {
        err = pln_wait_step(&wait);
    }
    bool left = !call->done;
    if (!left) {
        err = call->err;
        memcpy(call->words, call->detail, sizeof(call->words));
    }
    pthread_mutex_unlock(&monitor->lock);
    if (left) {
        pln_call_abandon(mesh, call);
    }
    pln_wait_end(&wait);
    return err;
}

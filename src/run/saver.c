/* SPDX-License-Identifier: Apache-2.0 */
#include "run/saver.h"

#include "base/assert.h"
#include "node/cluster.h"
#include "run/clock.h"
#include "run/files.h"
#include "run/last_error.h"
#include "run/runtime.h"
#include "run/statedir.h"

/* Changes mostly come together.  But a node that is killed soon after it met its first peer must
 * find it again: the peer may be one that only waits to be dialled. */
#define SETTLE_TIME PLN_MS(100)

/* Between writes of a state that changes all the time, so that a busy cluster does not wear out the
 * disk, after a few at once; a revocation does not wait for it. */
#define SPACING PLN_S(15)
#define SPACING_SAVED_UP (7 * SPACING)

/* After a write that failed. */
#define RETRY_INTERVAL PLN_S(10)

struct pln_state_write {
    pln_write write;
    pln_saved_state saved;
    pln_state_urgency urgency;
};

/* ---- Life ------------------------------------------------------------------------------------ */

pollen_err pln_saver_init(pln_saver *saver, const char *state_dir) {
    *saver = (pln_saver){.due = PLN_TS_NEVER};
    if (state_dir == NULL) {
        return POLLEN_OK;
    }
    const pollen_err err = pln_statedir_dup_path(state_dir, PLN_FILE_STATE, &saver->path);
    if (err != POLLEN_OK) {
        return err;
    }
    saver->dir = pln_strdup(state_dir);
    return saver->dir == NULL ? POLLEN_ENOMEM : POLLEN_OK;
}

static void drop_file(pln_saver *saver) {
    if (saver->file != NULL) {
        pln_state_file_fini(saver->file);
        pln_free(saver->file);
        saver->file = NULL;
    }
}

void pln_saver_fini(pln_saver *saver) {
    PLN_ASSERT(saver->waiters == NULL);
    PLN_ASSERT(saver->under_way == NULL);
    drop_file(saver);
    pln_free(saver->dir);
    pln_free(saver->path);
    *saver = (pln_saver){.path = NULL};
}

/* ---- Loading --------------------------------------------------------------------------------- */

static bool is_member(pollen_mesh *mesh) {
    return pln_mesh_credentials(pln_node_mesh(mesh->node))->enrolled;
}

/* Before the trust of a cluster is known nothing in the file can be judged. */
static pollen_err take_file(pollen_mesh *mesh) {
    pln_saver *saver = &mesh->saver;
    pln_state_loaded loaded;
    pollen_err err = pln_node_load_state(mesh->node, &saver->file->saved, mesh->now, &loaded);
    if (err == POLLEN_OK) {
        err = pln_state_file_settle(saver->file, saver->path, &loaded, &mesh->log, &saver->has_to);
    }
    drop_file(saver);
    return err;
}

pollen_err pln_saver_load(pollen_mesh *mesh) {
    pln_saver *saver = &mesh->saver;
    if (saver->path == NULL) {
        return POLLEN_OK;
    }
    saver->file = pln_calloc(1, sizeof(*saver->file));
    if (saver->file == NULL) {
        return POLLEN_ENOMEM;
    }
    pollen_err err = pln_dir_ensure(saver->dir, PLN_MODE_DIR);
    if (err == POLLEN_OK) {
        err = pln_state_file_read(saver->path, &mesh->key, &mesh->log, saver->file);
    }
    return err == POLLEN_OK && is_member(mesh) ? take_file(mesh) : err;
}

/* There is no caller any more who could be told: without the file the node only has to learn anew,
 * but it must not overwrite what it could not keep. */
void pln_saver_on_enrolled(pollen_mesh *mesh) {
    pln_saver *saver = &mesh->saver;
    if (saver->file == NULL || !is_member(mesh)) {
        return;
    }
    const pollen_err err = take_file(mesh);
    if (err != POLLEN_OK) {
        pln_logf(&mesh->log, PLN_LOG_ERROR, "run", "%s: %s; the state is not kept", saver->path,
                 pollen_strerror(err));
        pln_free(saver->path);
        saver->path = NULL;
    }
}

/* ---- Waiting --------------------------------------------------------------------------------- */

static void end_waiters(pln_saver *saver, uint64_t serial, pollen_err err) {
    pln_save_waiter **at = &saver->waiters;
    while (*at != NULL) {
        pln_save_waiter *waiter = *at;
        if (waiter->serial <= serial) {
            *at = waiter->next;
            waiter->done(waiter, err); /* It may be gone from here on. */
        } else {
            at = &waiter->next;
        }
    }
}

void pln_saver_wait(pollen_mesh *mesh, pln_save_waiter *waiter) {
    pln_saver *saver = &mesh->saver;
    const bool changed = pln_node_save_urgency(mesh->node) == PLN_STATE_SAVE_NOW;
    if (saver->path == NULL || (!changed && saver->under_way == NULL)) {
        waiter->done(waiter, POLLEN_OK);
        return;
    }
    waiter->serial = changed ? saver->serial + 1 : saver->serial;
    waiter->next = saver->waiters;
    saver->waiters = waiter;
    saver->retry_at = 0; /* Somebody asks: the disk may work again. */
}

/* ---- Writing --------------------------------------------------------------------------------- */

/* Members can tell more than a file may hold, and one that is too large would be the last. */
static pollen_err encode_saved(pln_saved_state *saved, pln_bytes *ret_text) {
    pollen_err err = pln_saved_state_encode(saved, ret_text);
    if (err == POLLEN_OK && ret_text->size > PLN_STATE_TEXT_MAX) {
        pln_bytes_fini(ret_text);
        pln_saved_state_shrink(saved);
        err = pln_saved_state_encode(saved, ret_text);
    }
    return err;
}

static pollen_err encode(pln_write *write, pln_bytes *ret_text) {
    pln_state_write *job = (pln_state_write *)(void *)write;
    return encode_saved(&job->saved, ret_text);
}

static void free_write(pln_state_write *job) {
    pln_saved_state_fini(&job->saved);
    pln_free(job);
}

/* Of the errors of a file those that the callers of pollen_mesh_revoke() are told of. */
static pollen_err disk_error(pollen_err err) {
    return err == POLLEN_OK || err == POLLEN_ENOSPC || err == POLLEN_ENOMEM ? err : POLLEN_EIO;
}

static void note_failure(pollen_mesh *mesh, uint64_t serial, pollen_err err, const char *words) {
    pln_saver *saver = &mesh->saver;
    pln_logf(&mesh->log, PLN_LOG_ERROR, "run", "the state is not saved: %s", words);
    saver->retry_at = pln_ts_add(mesh->now.mono, RETRY_INTERVAL);
    end_waiters(saver, serial, disk_error(err));
}

static pln_ts later(pln_ts a, pln_ts b) {
    return a > b ? a : b;
}

static void done(pln_write *write, pollen_mesh *mesh) {
    pln_state_write *job = (pln_state_write *)(void *)write;
    pln_saver *saver = &mesh->saver;
    saver->under_way = NULL;
    const pln_ts saved_up = pln_ts_since(SPACING_SAVED_UP, mesh->now.mono);
    saver->spaced_until = pln_ts_add(later(saver->spaced_until, saved_up), SPACING);
    pln_node_state_written(mesh->node, job->urgency, write->err, mesh->now);
    if (write->err == POLLEN_OK) {
        saver->has_to = false;
        end_waiters(saver, saver->serial, POLLEN_OK);
    } else if (write->err != POLLEN_ECLOSED) {
        note_failure(mesh, saver->serial, write->err, write->words);
    }
    free_write(job);
}

/* NULL and an error's words when there is no memory. */
static pln_state_write *make_write(pollen_mesh *mesh) {
    pln_state_write *job = pln_calloc(1, sizeof(*job));
    if (job == NULL) {
        return NULL;
    }
    job->write = (pln_write){
        .path = mesh->saver.path, .mode = PLN_MODE_PUBLIC, .encode = encode, .done = done};
    if (pln_node_take_state(mesh->node, &job->saved, &job->urgency) != POLLEN_OK) {
        pln_free(job);
        return NULL;
    }
    return job;
}

static void begin(pollen_mesh *mesh) {
    pln_saver *saver = &mesh->saver;
    pln_state_write *job = make_write(mesh);
    saver->due = PLN_TS_NEVER;
    saver->serial++;
    if (job != NULL && pln_writer_push(&mesh->writer, &job->write)) {
        saver->under_way = job;
        return;
    }
    if (job != NULL) {
        pln_node_state_written(mesh->node, job->urgency, POLLEN_ENOMEM, mesh->now);
        free_write(job);
    }
    note_failure(mesh, saver->serial, POLLEN_ENOMEM, pollen_strerror(POLLEN_ENOMEM));
}

/* Counted from the first change, or a state that changes all the time would never be written. */
static pln_ts due_at(const pollen_mesh *mesh) {
    const pln_saver *saver = &mesh->saver;
    const pln_ts now = mesh->now.mono;
    const pln_state_urgency urgency = pln_node_save_urgency(mesh->node);
    if (urgency == PLN_STATE_SAVE_NOW) {
        return later(now, saver->retry_at);
    }
    if (urgency == PLN_STATE_SAVED && !saver->has_to) {
        return PLN_TS_NEVER;
    }
    if (saver->due != PLN_TS_NEVER) {
        return saver->due;
    }
    return later(later(pln_ts_add(now, SETTLE_TIME), saver->spaced_until), saver->retry_at);
}

void pln_saver_step(pollen_mesh *mesh) {
    pln_saver *saver = &mesh->saver;
    if (saver->path == NULL || saver->file != NULL || saver->under_way != NULL) {
        return;
    }
    saver->due = due_at(mesh);
    if (pln_ts_reached(saver->due, mesh->now.mono)) {
        begin(mesh);
    }
}

pln_ts pln_saver_next_expiry(const pln_saver *saver) {
    return saver->due;
}

/* ---- The end --------------------------------------------------------------------------------- */

static pollen_err write_here(pollen_mesh *mesh) {
    pln_saved_state saved;
    pln_state_urgency urgency;
    pln_bytes text = {0};
    pollen_err err = pln_node_take_state(mesh->node, &saved, &urgency);
    if (err != POLLEN_OK) {
        return err;
    }
    err = encode_saved(&saved, &text);
    pln_saved_state_fini(&saved);
    if (err == POLLEN_OK) {
        err = pln_file_write(mesh->saver.path, PLN_MODE_PUBLIC, text.data, text.size);
    }
    pln_bytes_fini(&text);
    return err;
}

void pln_saver_finish(pollen_mesh *mesh) {
    pln_saver *saver = &mesh->saver;
    pollen_err err = POLLEN_OK;
    PLN_ASSERT(saver->under_way == NULL);
    if (saver->path != NULL && saver->file == NULL &&
        (saver->has_to || pln_node_save_urgency(mesh->node) != PLN_STATE_SAVED)) {
        err = write_here(mesh);
        if (err != POLLEN_OK) {
            pln_logf(&mesh->log, PLN_LOG_ERROR, "run", "the state is not saved: %s",
                     pollen_last_error());
        }
    }
    end_waiters(saver, UINT64_MAX, disk_error(err));
}

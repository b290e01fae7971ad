/* SPDX-License-Identifier: Apache-2.0 */
#include "run/ledger_writer.h"

#include <stdio.h>
#include <string.h>

#include "run/files.h"
#include "run/last_error.h"
#include "run/runtime.h"
#include "run/statedir.h"
#include "run/thread.h"

struct pln_ledger_job {
    pln_cmd cmd; /* On its way back. */
    pln_ledger_job *next;
    char token_id[PLN_TOKEN_ID_BYTES];
    pln_bytes text;
    pollen_err err;
};

pollen_err pln_ledger_writer_init(pln_ledger_writer *writer, pollen_mesh *mesh,
                                  const char *state_dir) {
    *writer = (pln_ledger_writer){.mesh = mesh};
    writer->tail = &writer->head;
    pln_monitor_init(&writer->monitor);
    if (state_dir == NULL) {
        return POLLEN_OK;
    }
    char path[PLN_PATH_BYTES];
    pollen_err err = pln_statedir_path(state_dir, PLN_FILE_LEDGER, path);
    if (err != POLLEN_OK) {
        return err;
    }
    writer->path = pln_strdup(path);
    return writer->path == NULL ? POLLEN_ENOMEM : POLLEN_OK;
}

static void free_job(pln_ledger_job *job) {
    pln_bytes_fini(&job->text);
    pln_free(job);
}

void pln_ledger_writer_fini(pln_ledger_writer *writer) {
    pln_free(writer->path);
    pln_monitor_fini(&writer->monitor);
}

static void run_written(pln_cmd *cmd, pollen_mesh *mesh, pollen_err state) {
    pln_ledger_job *job = (pln_ledger_job *)(void *)cmd;
    if (state == POLLEN_OK) {
        pln_mesh_ledger_written(pln_node_mesh(mesh->node), job->token_id, job->err, mesh->now);
    }
    free_job(job);
}

/* The next job, NULL at the end. */
static pln_ledger_job *wait_for_job(pln_ledger_writer *writer) {
    pthread_mutex_lock(&writer->monitor.lock);
    while (writer->head == NULL && !writer->stopping) {
        pthread_cond_wait(&writer->monitor.changed, &writer->monitor.lock);
    }
    pln_ledger_job *job = writer->stopping ? NULL : writer->head;
    if (job != NULL) {
        writer->head = job->next;
        if (writer->head == NULL) {
            writer->tail = &writer->head;
        }
    }
    pthread_mutex_unlock(&writer->monitor.lock);
    return job;
}

static void *writer_main(void *arg) {
    pln_ledger_writer *writer = arg;
    for (pln_ledger_job *job; (job = wait_for_job(writer)) != NULL;) {
        job->err = pln_file_write(writer->path, PLN_MODE_SECRET, job->text.data, job->text.size);
        if (job->err != POLLEN_OK) {
            pln_logf(&writer->mesh->log, PLN_LOG_ERROR, "run", "redeemed invites: %s",
                     pollen_last_error());
        }
        job->cmd.run = run_written;
        if (pln_cmdq_push(&writer->mesh->cmdq, &job->cmd) != POLLEN_OK) {
            free_job(job);
        }
    }
    return NULL;
}

static bool start_thread(pln_ledger_writer *writer) {
    if (!writer->started) {
        writer->started = pln_thread_start(&writer->thread, writer_main, writer);
    }
    return writer->started;
}

void pln_ledger_writer_push(pln_ledger_writer *writer, const char *token_id, pln_bytes text) {
    pollen_mesh *mesh = writer->mesh;
    pln_ledger_job *job = writer->path == NULL ? NULL : pln_calloc(1, sizeof(*job));
    if (job == NULL || !start_thread(writer)) {
        pollen_err err = writer->path == NULL ? POLLEN_OK : POLLEN_ENOMEM;
        pln_mesh_ledger_written(pln_node_mesh(mesh->node), token_id, err, mesh->now);
        pln_bytes_fini(&text);
        pln_free(job);
        return;
    }
    (void)snprintf(job->token_id, sizeof(job->token_id), "%s", token_id);
    job->text = text;
    pthread_mutex_lock(&writer->monitor.lock);
    *writer->tail = job;
    writer->tail = &job->next;
    pthread_cond_signal(&writer->monitor.changed);
    pthread_mutex_unlock(&writer->monitor.lock);
}

void pln_ledger_writer_stop(pln_ledger_writer *writer) {
    pthread_mutex_lock(&writer->monitor.lock);
    writer->stopping = true;
    pthread_cond_signal(&writer->monitor.changed);
    pthread_mutex_unlock(&writer->monitor.lock);
    if (writer->started) {
        pthread_join(writer->thread, NULL);
        writer->started = false;
    }
    for (pln_ledger_job *job = writer->head, *next; job != NULL; job = next) {
        next = job->next;
        free_job(job);
    }
    writer->head = NULL;
    writer->tail = &writer->head;
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "run/writer.h"

#include <stdio.h>

#include "base/assert.h"
#include "run/files.h"
#include "run/last_error.h"
#include "run/runtime.h"
#include "run/thread.h"

void pln_writer_init(pln_writer *writer, pollen_mesh *mesh) {
    *writer = (pln_writer){.mesh = mesh};
    writer->tail = &writer->head;
    pln_monitor_init(&writer->monitor);
}

void pln_writer_fini(pln_writer *writer) {
    PLN_ASSERT(!writer->started);
    PLN_ASSERT(writer->head == NULL);
    PLN_ASSERT(writer->returned == NULL);
    pln_monitor_fini(&writer->monitor);
}

/* ---- The writer's thread --------------------------------------------------------------------- */

/* The next write, NULL at the end. */
static pln_write *wait_for_write(pln_writer *writer) {
    pthread_mutex_lock(&writer->monitor.lock);
    while (writer->head == NULL && !writer->stopping) {
        pthread_cond_wait(&writer->monitor.changed, &writer->monitor.lock);
    }
    pln_write *write = writer->stopping ? NULL : writer->head;
    if (write != NULL) {
        writer->head = write->next;
        if (writer->head == NULL) {
            writer->tail = &writer->head;
        }
    }
    pthread_mutex_unlock(&writer->monitor.lock);
    return write;
}

static void carry_out(pln_write *write) {
    pln_bytes text = {0};
    pln_last_error_clear();
    write->err = write->encode(write, &text);
    if (write->err == POLLEN_OK) {
        write->err = pln_file_write(write->path, write->mode, text.data, text.size);
    }
    pln_bytes_fini(&text);
    if (write->err != POLLEN_OK) {
        const char *words = pollen_last_error();
        (void)snprintf(write->words, sizeof(write->words), "%s",
                       words[0] != '\0' ? words : pollen_strerror(write->err));
    }
}

static void run_done(pln_cmd *cmd, pollen_mesh *mesh, pollen_err state) {
    pln_write *write = (pln_write *)(void *)cmd;
    if (state != POLLEN_OK) {
        write->err = state;
    }
    write->done(write, mesh);
}

/* The queue is closed before the writer is stopped, and nobody runs what comes after that. */
static void give_back(pln_writer *writer, pln_write *write) {
    write->cmd.run = run_done;
    if (pln_cmdq_push(&writer->mesh->cmdq, &write->cmd) == POLLEN_OK) {
        return;
    }
    pthread_mutex_lock(&writer->monitor.lock);
    write->next = writer->returned;
    writer->returned = write;
    pthread_mutex_unlock(&writer->monitor.lock);
}

static void *writer_main(void *arg) {
    pln_writer *writer = arg;
    for (pln_write *write; (write = wait_for_write(writer)) != NULL;) {
        carry_out(write);
        give_back(writer, write);
    }
    return NULL;
}

/* ---- The loop's thread ----------------------------------------------------------------------- */

bool pln_writer_push(pln_writer *writer, pln_write *write) {
    PLN_ASSERT(write->path != NULL);
    PLN_ASSERT(write->encode != NULL);
    PLN_ASSERT(write->done != NULL);
    if (!writer->started) {
        writer->started = pln_thread_start(&writer->thread, writer_main, writer);
    }
    if (!writer->started) {
        return false;
    }
    write->next = NULL;
    pthread_mutex_lock(&writer->monitor.lock);
    *writer->tail = write;
    writer->tail = &write->next;
    pthread_cond_signal(&writer->monitor.changed);
    pthread_mutex_unlock(&writer->monitor.lock);
    return true;
}

static void end_list(pln_writer *writer, pln_write *list) {
    for (pln_write *write = list, *next; write != NULL; write = next) {
        next = write->next;
        write->err = POLLEN_ECLOSED;
        write->done(write, writer->mesh);
    }
}

void pln_writer_stop(pln_writer *writer) {
    pthread_mutex_lock(&writer->monitor.lock);
    writer->stopping = true;
    pthread_cond_signal(&writer->monitor.changed);
    pthread_mutex_unlock(&writer->monitor.lock);
    if (writer->started) {
        pthread_join(writer->thread, NULL);
        writer->started = false;
    }
    pln_write *returned = writer->returned;
    pln_write *left = writer->head;
    writer->returned = NULL;
    writer->head = NULL;
    writer->tail = &writer->head;
    end_list(writer, returned);
    end_list(writer, left);
}
